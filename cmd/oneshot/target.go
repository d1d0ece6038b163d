//go:build linux

package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/discovery"
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

// parseConnect parses the flags of a session for the subcommand name. It returns the
// arguments after the flags.
func parseConnect(name string, args []string) (o connectOptions, rest []string, err error) {
	var usr1, usr2 bool
	var signalName string
	seconds := defaultTimeout.Seconds()
	rest, err = parseFlags(name, args, func(flags *flag.FlagSet) {
		flags.BoolVar(&usr1, "1", false, "")
		flags.BoolVar(&usr1, "USR1", false, "")
		flags.BoolVar(&usr2, "2", false, "")
		flags.BoolVar(&usr2, "USR2", false, "")
		flags.StringVar(&signalName, "s", "", "")
		flags.StringVar(&signalName, "signal", "", "")
		flags.BoolVar(&o.noSignal, "n", false, "")
		flags.BoolVar(&o.outside, "outside", false, "")
		flags.Float64Var(&seconds, "t", seconds, "")
		flags.Float64Var(&seconds, "timeout", seconds, "")
	})
	if err != nil {
		return o, nil, err
	}
	given := 0
	for _, is := range []bool{usr1, usr2, signalName != "", o.noSignal} {
		if is {
			given++
		}
	}
	if given > 1 {
		return o, nil, usageError{"give only one of -1, -2, -s and -n"}
	}
	if !(seconds > 0 && seconds <= maxTimeout.Seconds()) { // also true for NaN
		return o, nil, usageError{fmt.Sprintf("-t %v: give a number of seconds above 0 and at most %.0f", seconds, maxTimeout.Seconds())}
	}
	o.timeout = time.Duration(seconds * float64(time.Second))
	switch {
	case usr1:
		o.signal = syscall.SIGUSR1
	case usr2:
		o.signal = syscall.SIGUSR2
	case signalName != "":
		if o.signal, err = oneshot.ParseSignal(signalName); err != nil {
			return o, nil, usageError{strings.TrimPrefix(err.Error(), "oneshot: ")}
		}
	}
	return o, rest, nil
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

// find returns the path of the socket, and the process that must own it. The process
// is nil if it is not known.
func (t target) find(o connectOptions) (path string, p *discovery.Process, err error) {
	if t.pid != 0 {
		p, err = discovery.Read(t.pid)
	}
	if t.path == "" {
		if err != nil {
			return "", nil, explainProcess(t, p, err)
		}
		path = p.SocketPath()
		if strings.HasPrefix(path, "@") && !p.SameNet() {
			return "", nil, fmt.Errorf("%s: its socket %s is an abstract socket in another network namespace; run oneshot with nsenter -n -t %d",
				t, path, t.pid)
		}
		return path, p, nil
	}
	// The number at the end of a path may mean anything. It is the pid if the
	// process with this pid has this path.
	if err != nil || p != nil && !samePath(t.path, p.SocketPath()) {
		p = nil
	}
	if p == nil && o.signal != 0 {
		return "", nil, fmt.Errorf("%s: this path does not tell which process should get %s; give the pid instead", t, signalText(o.signal))
	}
	return t.path, p, nil
}

func samePath(a, b string) bool {
	abs, err := filepath.Abs(a)
	return a == b || err == nil && abs == b
}

// errHasEnded returns the error for a process that has ended.
func errHasEnded(pid int) error { return fmt.Errorf("process %d has ended", pid) }
