//go:build darwin || freebsd || (linux && oneshot_noproc)

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/noproc"
	"github.com/gomanhole/oneshot/internal/discovery"
)

// This file: the process and the socket, where there is no /proc. The tag oneshot_noproc
// builds such a client for Linux too, for the tests.

// whichProcess says how to find out what there is to connect to.
const whichProcess = "ls -l /tmp/manhole-* shows the manholes that are open"

// errNoProc is why much of a process is not known.
var errNoProc = errors.New("this system has no /proc")

// find returns the path where the socket may be, and the process that must own it, of which
// only the pid is known. The process is nil if the person has given a path.
func (t target) find(o connectOptions) (paths []string, p *discovery.Process, err error) {
	switch {
	case t.path != "" && o.signal != 0:
		return nil, nil, fmt.Errorf("%s: this path does not tell which process should get %s; give the pid instead", t, signalText(o.signal))
	case t.path != "":
		return []string{t.path}, nil, nil
	}
	if err := noproc.Send(t.pid, 0); err != nil {
		return nil, nil, err
	}
	return []string{noproc.DefaultPath(t.pid)}, &discovery.Process{PID: t.pid, Unread: errNoProc}, nil
}

// viaOutside returns an error if the person wants a process to be read from outside.
func viaOutside(_ target, o connectOptions, _ []string, _, _ io.Writer) (is bool, err error) {
	if o.outside {
		return false, fmt.Errorf("-outside: %w, so a process cannot be read from outside; instead: oneshot PATH stacks asks the program", errNoProc)
	}
	return false, nil
}

// openSocket returns the name of the socket at a path, to connect to.
func (c *connector) openSocket(path string) (name string, done func(), err error) {
	err = noproc.CheckPath(path, c.process == nil, os.Geteuid())
	if foreign := (*noproc.ForeignError)(nil); errors.As(err, &foreign) {
		err = foreignError{foreign.Error()}
	}
	return path, func() {}, err
}
