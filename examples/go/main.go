// Command hello serves a greeting, and the version it was built from at /version.
package main

import (
	_ "embed"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime"

	"example.com/hello/greeting"
)

//go:embed VERSION
var version string

func main() {
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, greeting.For(r.URL.Query().Get("name")))
	})
	http.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s%s\n", version, runtime.Version())
	})
	address := ":" + os.Getenv("PORT")
	log.Printf("listening on %s", address)
	log.Fatal(http.ListenAndServe(address, nil))
}
