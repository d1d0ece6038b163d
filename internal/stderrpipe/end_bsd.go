//go:build darwin || freebsd

package stderrpipe

import "github.com/gomanhole/oneshot/internal/unixsock"

// dupSafely makes descriptor to the write end of the pipe. These systems have no end
// that is safe from SIGPIPE.
func dupSafely(pipe, to int) error { return unixsock.Dup2(pipe, to) }
