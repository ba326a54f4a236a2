// Package greeting makes greetings.
package greeting

// For returns the greeting for a name, or for the world if it is empty.
func For(name string) string {
	if name == "" {
		name = "world"
	}
	return "Hello, " + name + ", from Go!"
}
