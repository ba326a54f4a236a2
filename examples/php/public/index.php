<?php

require __DIR__ . '/../vendor/autoload.php';

header('Content-Type: text/plain; charset=utf-8');
echo Windlass\Greeting\Greeting::text(), ' ', mb_strtoupper(explode('?', $_SERVER['REQUEST_URI'])[0]), "\n";
