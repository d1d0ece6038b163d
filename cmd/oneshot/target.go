//go:build linux || darwin || freebsd

package main

import (
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// connectOptions are the flags of a session.
type connectOptions struct {
	signal   syscall.Signal // 0: the signal in the notice of the process
	noSignal bool
	outside  bool // read the process from outside, even if it has a manhole
	timeout  time.Duration
}

const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 24 * time.Hour
)

// connectFlags are the flags of a session as they are typed.
type connectFlags struct {
	usr1, usr2, none, outside bool
	signal                    string
	seconds                   float64
}

// define adds the flags to a set.
func (c *connectFlags) define(flags *flag.FlagSet) {
	flags.BoolVar(&c.usr1, "1", false, "send SIGUSR1 to open the manhole")
	flags.BoolVar(&c.usr1, "USR1", false, "the same as -1")
	flags.BoolVar(&c.usr2, "2", false, "send SIGUSR2 to open the manhole")
	flags.BoolVar(&c.usr2, "USR2", false, "the same as -2")
	flags.StringVar(&c.signal, "s", "", "send another `SIGNAL`, by name or number")
	flags.StringVar(&c.signal, "signal", "", "the same as -s `SIGNAL`")
	flags.BoolVar(&c.none, "n", false, "send no signal: the manhole is open, or something else opens it")
	flags.BoolVar(&c.outside, "outside", false, "read the memory of the process instead: no signal, no stop")
	flags.Float64Var(&c.seconds, "t", defaultTimeout.Seconds(), "wait this many `SECONDS` for the socket")
	flags.Float64Var(&c.seconds, "timeout", defaultTimeout.Seconds(), "the same as -t `SECONDS`")
}

// options checks the flags.
func (c *connectFlags) options() (o connectOptions, err error) {
	given := 0
	for _, is := range []bool{c.usr1, c.usr2, c.signal != "", c.none} {
		if is {
			given++
		}
	}
	if given > 1 {
		return o, usageError{"give only one of -1, -2, -s and -n"}
	}
	if !(c.seconds > 0 && c.seconds <= maxTimeout.Seconds()) { // also true for NaN
		return o, usageError{fmt.Sprintf("-t %v: give a number of seconds above 0 and at most %.0f", c.seconds, maxTimeout.Seconds())}
	}
	o.noSignal, o.outside = c.none, c.outside
	o.timeout = time.Duration(c.seconds * float64(time.Second))
	switch {
	case c.usr1:
		o.signal = syscall.SIGUSR1
	case c.usr2:
		o.signal = syscall.SIGUSR2
	case c.signal != "":
		if o.signal, err = oneshot.ParseSignal(c.signal); err != nil {
			return o, usageError{strings.TrimPrefix(err.Error(), "oneshot: ")}
		}
	}
	return o, nil
}

// parseConnect parses the flags of a session for the subcommand name. It returns the
// arguments after the flags.
func parseConnect(name string, args []string) (o connectOptions, rest []string, err error) {
	var c connectFlags
	if rest, err = parseFlags(name, args, c.define); err != nil {
		return o, nil, err
	}
	o, err = c.options()
	return o, rest, err
}

// target is the process or the socket that the person has named.
type target struct {
	pid  int    // 0 if not known; with a path it is a guess
	path string // empty: the path of the process
}

// pidInPath finds a pid in the path of a socket: the process outside of a container
// whose root directory is in /proc, or the number at the end.
var pidInPath = regexp.MustCompile(`^/proc/(\d+)/root/|-(\d+)$`)

func parseTarget(arg string) (target, error) {
	if n, err := strconv.ParseInt(arg, 10, 32); err == nil {
		if n < 1 {
			return target{}, usageError{fmt.Sprintf("%s is not a pid", arg)}
		}
		return target{pid: int(n)}, nil
	}
	if !strings.Contains(arg, "/") && !strings.HasPrefix(arg, "@") {
		return target{}, usageError{fmt.Sprintf("%.60q is not a pid, a path or a command; oneshot help lists the commands", arg)}
	}
	t := target{path: arg}
	if m := pidInPath.FindStringSubmatch(arg); m != nil {
		if n, err := strconv.ParseInt(m[1]+m[2], 10, 32); err == nil && n > 0 {
			t.pid = int(n)
		}
	}
	return t, nil
}

func (t target) String() string {
	if t.path != "" {
		return t.path
	}
	return "process " + strconv.Itoa(t.pid)
}

// errHasEnded returns the error for a process that has ended.
func errHasEnded(pid int) error { return fmt.Errorf("process %d has ended", pid) }
