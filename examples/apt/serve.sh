# Serves what jq, which comes from the Aptfile, makes of a document.
set -e
mkdir -p /tmp/site
echo '{"greeting": "Hello", "from": "apt"}' | jq -r '"\(.greeting), from \(.from)!"' >/tmp/site/index.html
exec python3 -m http.server --directory /tmp/site "$PORT"
