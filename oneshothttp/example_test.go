//go:build linux || darwin || freebsd

package oneshothttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gomanhole/oneshot/oneshothttp"
)

// The admin server of a program gets the commands of the manhole. What changes something
// needs POST.
func ExampleHandler() {
	admin := http.NewServeMux()
	admin.Handle("/debug/oneshot/", onlyOperators(oneshothttp.Handler(oneshothttp.Options{})))
	server := httptest.NewServer(admin) // a program calls http.ListenAndServe("localhost:6060", admin)
	defer server.Close()

	for _, method := range []string{"GET", "POST"} {
		request, err := http.NewRequest(method, server.URL+"/debug/oneshot/gc", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		request.SetBasicAuth("operator", "secret")
		answer, err := server.Client().Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		answer.Body.Close()
		fmt.Println(method, answer.Status)
	}
	// Output:
	// GET 405 Method Not Allowed
	// POST 200 OK
}

// onlyOperators is the program's own authorization.
func onlyOperators(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
