//go:build linux

package main

import (
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot"
)

// Programs with rights that their user does not have.

func init() {
	conditions["undumpable"] = func([]string) {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			fail(err)
		}
		install()
		ready()
		select {}
	}
	conditions["authorizes"] = func([]string) {
		install(func(o *oneshot.Options) { o.Authorize = func(oneshot.Cred) error { return nil } })
		ready()
		select {}
	}
}
