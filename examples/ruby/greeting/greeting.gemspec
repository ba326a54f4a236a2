Gem::Specification.new do |spec|
  spec.name = "greeting"
  spec.version = "0.1.0"
  spec.summary = "A gem in a folder of the app"
  spec.authors = ["Windlass"]
  spec.files = ["lib/greeting.rb"]
end
