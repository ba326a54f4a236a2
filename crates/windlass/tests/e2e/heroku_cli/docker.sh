#!/bin/sh
# Stands for docker, of whose daemon a test has none: the same with buildah. Heroku's registry is at
# DOCKER_TO.
set -eu
buildah() {
    command buildah --root "$DOCKER_FOLDER/storage" --runroot "$DOCKER_FOLDER/run" \
        --storage-driver vfs "$@"
}
command=$1
shift
case $command in
version) echo 20.10.0 ;;
login) buildah login --authfile "$DOCKER_FOLDER.json" --tls-verify=false \
    --username _ --password-stdin "$DOCKER_TO" ;;
build) buildah build --format docker "$@" ;;
push) buildah push --authfile "$DOCKER_FOLDER.json" --tls-verify=false \
    "$1" "docker://$DOCKER_TO/${1#*/}" ;;
*) echo "docker $command is not what the test expects" >&2 && exit 1 ;;
esac
