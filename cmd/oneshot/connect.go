//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/frame"
	"golang.org/x/sys/unix"
)

// connectOptions are the flags of a session.
type connectOptions struct {
	signal  syscall.Signal // 0: the one that the process asks for
	silent  bool           // send none
	timeout time.Duration
}

const defaultTimeout = 5 * time.Second

// parseConnect parses the flags before the PID, and returns what follows them.
func parseConnect(args []string) (o connectOptions, rest []string, err error) {
	var one, two bool
	var name string
	seconds := defaultTimeout.Seconds()
	flags := flag.NewFlagSet("oneshot", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&one, "1", false, "")
	flags.BoolVar(&one, "USR1", false, "")
	flags.BoolVar(&two, "2", false, "")
	flags.BoolVar(&two, "USR2", false, "")
	flags.StringVar(&name, "s", "", "")
	flags.StringVar(&name, "signal", "", "")
	flags.BoolVar(&o.silent, "n", false, "")
	flags.Float64Var(&seconds, "t", seconds, "")
	flags.Float64Var(&seconds, "timeout", seconds, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, nil, err
	case err != nil:
		return o, nil, usageError{fmt.Sprintf("%v; oneshot help connect tells the flags", err)}
	}
	given := 0
	for _, is := range []bool{one, two, name != "", o.silent} {
		if is {
			given++
		}
	}
	if given > 1 {
		return o, nil, usageError{"one of -1, -2, -s and -n at a time"}
	}
	const longest = 24 * 60 * 60
	if !(seconds > 0 && seconds <= longest) {
		return o, nil, usageError{fmt.Sprintf("-t %v: give a number of seconds above 0, at most %d", seconds, longest)}
	}
	o.timeout = time.Duration(seconds * float64(time.Second))
	switch {
	case one:
		o.signal = syscall.SIGUSR1
	case two:
		o.signal = syscall.SIGUSR2
	case name != "":
		if o.signal, err = oneshot.ParseSignal(name); err != nil {
			return o, nil, usageError{strings.TrimPrefix(err.Error(), "oneshot: ")}
		}
	}
	return o, flags.Args(), nil
}

// isConnectFlag reports whether a word is a flag that stands in the wrong place,
// where manhole-cli takes it.
func isConnectFlag(word string) bool {
	switch word {
	case "-1", "-2", "-USR1", "-USR2", "-n", "-s", "-t":
		return true
	}
	return false
}

// target is what was asked for: a process, the path of its socket, or both.
type target struct {
	pid  int    // 0: not known, or to be ignored if there is no such process
	path string // empty: that of the process
}

// A pid in a path: that of a process in a container, seen from outside, or of one
// like us.
var pidInPath = regexp.MustCompile(`^/proc/(\d+)/root/|-(\d+)$`)

func parseTarget(arg string) (target, error) {
	if n, err := strconv.ParseInt(arg, 10, 32); err == nil {
		if n < 1 {
			return target{}, usageError{fmt.Sprintf("%s is no pid", arg)}
		}
		return target{pid: int(n)}, nil
	}
	if !strings.Contains(arg, "/") && !strings.HasPrefix(arg, "@") {
		return target{}, usageError{fmt.Sprintf("%.60q is neither a pid nor a path nor a command; oneshot help lists the commands", arg)}
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

// connect opens the manhole and connects to it, as a script if framed is true. It
// has sent nothing yet, and whoever is at the other end is who was asked for.
func connect(t target, o connectOptions, framed bool) (*net.UnixConn, error) {
	path, p, err := t.find(o)
	if err != nil {
		return nil, err
	}
	sent, err := open(t, o, p)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(o.timeout)
	if sent == 0 && !o.silent {
		deadline = time.Now() // what is not there will not come
	}
	again := time.Now().Add(signalAgain)
	for {
		conn, err := dial(path, framed)
		if err == nil {
			if err = checkPeer(conn, p, path); err == nil {
				err = checkWelcome(conn, framed, deadline)
			}
			if err == nil {
				return conn, nil
			}
			conn.Close()
			if !errors.Is(err, errTooLate) {
				return nil, err
			}
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, errTooLate) {
			return nil, explainDial(path, err)
		}
		if time.Now().After(deadline) {
			if errors.Is(err, errTooLate) {
				return nil, statusError{statusTimeout, fmt.Errorf("%s: %w; try again", t, errTooLate)}
			}
			return nil, explainAbsence(t, o, p, path, sent, err)
		}
		if sent != 0 && time.Now().After(again) {
			if err := openAgain(t, o, p, sent); err != nil {
				return nil, err
			}
			again = time.Now().Add(signalAgain)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// errTooLate is what the manhole tells whom another client was faster than.
var errTooLate = errors.New("another client has entered")

// find is the path of the socket, and the process that must be behind it; nil:
// that is not known.
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
			return "", nil, fmt.Errorf("%s: its socket %s is an abstract one in another network namespace; enter that with nsenter -n -t %d",
				t, path, t.pid)
		}
		return path, p, nil
	}
	// A number at the end of a path may mean anything, but for the process
	// whose path it is.
	if err != nil || p != nil && !samePath(t.path, p.SocketPath()) {
		p = nil
	}
	if p == nil && o.signal != 0 {
		return "", nil, fmt.Errorf("%s: which process is to be sent %s cannot be known from this path; name the pid", t, signalText(o.signal))
	}
	return t.path, p, nil
}

func samePath(a, b string) bool {
	abs, err := filepath.Abs(a)
	return a == b || err == nil && abs == b
}

// checkWelcome finds out whether the manhole turns the client away, which it
// does at once, in a line of text. It takes nothing out of the stream. A script is
// sent an empty frame when it is served.
func checkWelcome(conn *net.UnixConn, framed bool, deadline time.Time) error {
	if soon := time.Now().Add(welcomeTime); !framed || deadline.Before(soon) {
		deadline = soon
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var text [256]byte
	n := 0
	_ = conn.SetReadDeadline(deadline)
	err = raw.Read(func(fd uintptr) bool {
		n, _, err = unix.Recvfrom(int(fd), text[:], unix.MSG_PEEK)
		return !errors.Is(err, unix.EAGAIN)
	})
	_ = conn.SetReadDeadline(time.Time{})
	switch {
	case err != nil && framed:
		return statusError{statusTimeout, fmt.Errorf("%s has let the client in, but does not serve it; is the process stuck or stopped?", conn.RemoteAddr())}
	case err != nil: // it says nothing, as programs with a handler of their own do
		return nil
	}
	line, _, _ := strings.Cut(string(text[:max(n, 0)]), "\n")
	switch {
	case strings.HasPrefix(line, "oneshot: too late"):
		return errTooLate
	case strings.HasPrefix(line, "oneshot: refused: "):
		return errors.New(strings.TrimPrefix(line, "oneshot: "))
	}
	return nil
}

// welcomeTime is how long a program may take to say something.
const welcomeTime = 500 * time.Millisecond

// dial connects once. A script's own socket has the name that asks for frames.
func dial(path string, framed bool) (*net.UnixConn, error) {
	var local *net.UnixAddr
	if framed {
		local = &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@%s%d.%08x", frame.SocketPrefix, os.Getpid(), rand.Uint32())}
	}
	name, done, err := shorten(path)
	if err != nil {
		return nil, err
	}
	defer done()
	return net.DialUnix("unix", local, &net.UnixAddr{Net: "unix", Name: name})
}

// shorten returns a name for a path that fits a socket address (unix(7)).
func shorten(path string) (name string, done func(), err error) {
	const longest = len(unix.RawSockaddrUnix{}.Path) - 1
	if len(path) <= longest || strings.HasPrefix(path, "@") {
		return path, func() {}, nil
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path)), func() { unix.Close(dir) }, nil
}

// checkPeer makes sure of who is at the other end: somebody may have put a
// socket of their own at the path. The kernel has noted the pid and the user when
// the other side called listen. Where no process was named, only our own user's
// will do.
func checkPeer(conn *net.UnixConn, p *discovery.Process, path string) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	switch {
	case controlErr != nil || err != nil:
		return fmt.Errorf("%s: who listens there cannot be known: %w", path, errors.Join(controlErr, err))
	case p != nil && (int(cred.Pid) != p.PID || int(cred.Uid) != p.EUID):
		return fmt.Errorf("the socket %s is that of pid %d, uid %d, not of process %d, uid %d; nothing was sent",
			path, cred.Pid, cred.Uid, p.PID, p.EUID)
	case p == nil && int(cred.Uid) != os.Geteuid():
		return fmt.Errorf("the socket %s is that of pid %d, uid %d; nothing was sent; name that process if you mean it", path, cred.Pid, cred.Uid)
	}
	return nil
}
