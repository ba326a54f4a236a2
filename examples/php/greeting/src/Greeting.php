<?php

namespace Windlass\Greeting;

final class Greeting
{
    public static function text(): string
    {
        return 'Hello from PHP ' . PHP_MAJOR_VERSION . '.' . PHP_MINOR_VERSION . '!';
    }
}
