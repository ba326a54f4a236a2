module Greeting
  def self.text
    "Hello from Ruby #{RUBY_VERSION[/\A\d+\.\d+/]}!"
  end
end
