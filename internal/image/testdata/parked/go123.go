//go:build go1.23

package main

import "iter"

func init() {
	newWays = append(newWays, func() {
		next, _ := iter.Pull(func(yield func(int) bool) {
			yield(1)
			yield(2)
		})
		next() // the goroutine of the coroutine is between two calls of yield
		select {}
	})
}
