# A web server on Ruby's standard library, which has had none since 3.0.
require "socket"
require "greeting"

$stdout.sync = true

def answer(connection)
  method, path = connection.gets.to_s.split
  nil while (line = connection.gets) && line != "\r\n"
  status, body = path == "/" || path == "/healthz" ? ["200 OK", "#{Greeting.text}\n"] : ["404 Not Found", "nothing here\n"]
  connection.write "HTTP/1.1 #{status}\r\nContent-Type: text/plain; charset=utf-8\r\n" \
                   "Content-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n"
  connection.write body unless method == "HEAD"
rescue SystemCallError, IOError => error
  puts "a request failed: #{error.message}"
ensure
  connection.close
end

server = TCPServer.new("0.0.0.0", Integer(ENV.fetch("PORT", "5000")))
trap("TERM") { exit }
loop { Thread.new(server.accept) { |connection| answer(connection) } }
