// Command own uses the table of its own release.
package main

import "github.com/gomanhole/oneshot/internal/image/layout"

func main() {
	l, err := layout.Own()
	println(l.Release, err == nil)
}
