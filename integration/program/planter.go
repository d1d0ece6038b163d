//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gomanhole/oneshot"
	"golang.org/x/sys/unix"
)

func init() {
	conditions["windows"] = windows
	conditions["planter"] = planter
}

// windows opens one window after another, each for a moment. It reports what kept a window
// from opening.
func windows([]string) {
	m := install(func(o *oneshot.Options) {
		o.ConnectTimeout = 100 * time.Microsecond
		o.Logger = slog.New(slog.DiscardHandler)
	})
	ready()
	for opened := 0; ; {
		pause(rand.N(200 * time.Microsecond)) // the planter can put a file at the path now
		switch err := m.Oneshot(context.Background()); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if opened++; opened%100 == 0 {
				fmt.Fprintln(os.Stderr, opened, "opened")
			}
		default:
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// planter puts a file at a path for a moment, a given number of times. It ends with an
// error if somebody changes or moves the file. It cannot remove another user's file there,
// because the folder has the sticky bit.
func planter(args []string) {
	path, n := args[0], number(args[1])
	precious := filepath.Join(filepath.Dir(path), "precious")
	try(os.WriteFile(precious, []byte("precious"), 0o600))
	kinds := []func(at string) error{
		func(at string) error { return os.Mkdir(at, 0o777) },
		func(at string) error { return os.Symlink(precious, at) },
		func(at string) error { return os.Symlink("nowhere", at) },
		func(at string) error { return unix.Mkfifo(at, 0o666) },
		func(at string) error { return os.WriteFile(at, []byte("planted"), 0o600) },
		func(at string) error { return bind(at, true) },
	}
	ready()
	at := path + "-planted"
	for i := range n {
		try(kinds[i%len(kinds)](at))
		planted, err := os.Lstat(at)
		try(err)
		if rand.IntN(2) == 0 { // a dead socket first, which the manhole may replace
			dead := path + "-dead"
			try(bind(dead, false))
			move(dead, path, func() {})
			pause(rand.N(50 * time.Microsecond))
		}
		move(at, path, func() {
			if planted.IsDir() {
				_ = os.Remove(path) // our dead socket; a folder cannot be moved over it
			}
		})
		pause(rand.N(300 * time.Microsecond))
		takeBack(path, planted)
	}
	if text, err := os.ReadFile(precious); string(text) != "precious" {
		fail(fmt.Errorf("the file behind the link has become %q, %v", text, err))
	}
	try(os.Remove(precious))
}

// move moves a file to a path as soon as the kernel allows it. The kernel does not while
// another user's file is there (EPERM, because the folder has the sticky bit). It does not
// move a folder over any other file (ENOTDIR). move calls busy before it tries again.
func move(from, to string, busy func()) {
	for deadline := time.Now().Add(patience); ; busy() {
		err := os.Rename(from, to)
		switch {
		case err == nil:
			return
		case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOTDIR):
			fail(err)
		case time.Now().After(deadline):
			fail(fmt.Errorf("timeout after %v, waited for: %s to be free; saw %w", patience, to, err))
		}
	}
}

// takeBack removes the planted file. It fails if the file is not at the path. The manhole
// may move it aside for a moment and back again.
func takeBack(path string, planted os.FileInfo) {
	var now os.FileInfo
	var err error
	for range 10_000 {
		if now, err = os.Lstat(path); err == nil && os.SameFile(now, planted) {
			text := []byte("planted")
			if planted.Mode().IsRegular() {
				text, err = os.ReadFile(path)
			}
			if err == nil && string(text) != "planted" {
				fail(fmt.Errorf("the file has become %q", text))
			}
			if err == nil {
				err = os.Remove(path)
			}
			if err == nil {
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
	fail(fmt.Errorf("the %v has become %v, %v", planted.Mode(), now, err))
}

// pause waits for a short time. time.Sleep takes at least a millisecond on some machines.
func pause(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
		runtime.Gosched()
	}
}

var live = -1 // the listening socket

// bind creates a socket at a path: a live one if listen is set, and a dead one otherwise.
func bind(path string, listen bool) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	if !listen {
		return unix.Close(fd)
	}
	_ = unix.Close(live)
	live = fd
	return unix.Listen(fd, 1)
}

// try ends the program if err is not nil.
func try(err error) {
	if err != nil {
		fail(err)
	}
}
