//go:build !unix

package main

import (
	"errors"
	"net"
	"os"
)

var errEnded = errors.New("the session was ended by the program")

func interact(_ *net.UnixConn, _, _ *os.File) error {
	return errors.New("there are no sessions on this system")
}
