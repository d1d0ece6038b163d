//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// With -reuse, a planter attacks the path of a window. In each round it leaves a dead socket
// there and opens a window. As soon as the program has made its socket under a temporary name
// and is about to exchange it for the dead one, the planter removes the dead socket, makes
// files until one of them gets the number of its inode, and puts that file at the path. A
// program that knows the dead socket by its number only would remove the file. The files
// belong to another user, and the program to root.

// planter is one round after another, at the path of one program.
type planter struct {
	p *process
	r *rand.Rand
}

// roundsOfOne is the number of rounds after which another program is started.
const roundsOfOne = 2000

// reuse has a planter attack one program after another, until ctx ends or all rounds are
// done.
func (s *stress) reuse(ctx context.Context, number int, rounds *atomic.Int64) {
	for i := 0; ctx.Err() == nil && rounds.Load() > 0; i++ {
		name := fmt.Sprintf("%d.%d", number, i)
		at := place{dir: filepath.Join(s.dir, name)}
		at.pattern = filepath.Join(at.dir, "s")
		if err := errors.Join(os.Mkdir(at.dir, 0o755), os.Chmod(at.dir, 0o777|os.ModeSticky)); err != nil {
			s.tally.fail(faults, err.Error())
			return
		}
		seed := uint64(number)<<32 | uint64(i)
		p := s.start(kindNamed("plain"), at, name, seed)
		if p == nil {
			return
		}
		pl := &planter{p, rand.New(rand.NewPCG(s.seed, seed))}
		done := make(chan struct{})
		go func() {
			defer close(done)
			pl.work(ctx, rounds)
		}()
		<-done
		if p.broken.Load() {
			p.abandon(new(sync.WaitGroup))
		} else {
			p.terminate(end{signals: []syscall.Signal{syscall.SIGTERM}}, pl.r, new(sync.WaitGroup))
		}
	}
}

// work does the rounds for one program.
func (pl *planter) work(ctx context.Context, rounds *atomic.Int64) {
	runtime.LockOSThread() // the thread makes files as another user
	// The thread must not end: it may have started a program, which would get its Pdeathsig.
	defer func() {
		if err := errors.Join(unix.Setfsuid(0), unix.Setfsgid(0)); err == nil {
			runtime.UnlockOSThread()
		}
	}()
	if err := errors.Join(unix.Setfsgid(stranger), unix.Setfsuid(stranger)); err != nil {
		pl.p.fail(faults, "%v", err)
		return
	}
	for range roundsOfOne {
		if ctx.Err() != nil || pl.p.broken.Load() || rounds.Add(-1) < 0 {
			return
		}
		if err := pl.round(); err != nil {
			pl.p.fail(faults, "the planter: %v", err)
			return
		}
		pl.p.tally.add(reuseRounds, 1)
	}
	_ = os.Remove(pl.p.path) // a dead socket that was put back
}

func (pl *planter) round() error {
	dead, err := pl.leaveDeadSocket()
	if err != nil {
		return err
	}
	pl.p.send(syscall.SIGUSR2)
	if !pl.awaitTemporary() {
		pl.p.tally.add("rounds without a temporary name", 1)
	}
	for until := time.Now().Add(time.Duration(pl.r.Int64N(int64(100 * time.Microsecond)))); time.Now().Before(until); {
	}
	var files []*os.File
	if os.Remove(pl.p.path) == nil { // if it fails, the program was faster
		if files, err = pl.plant(dead); err != nil {
			return err
		}
	}
	pl.visit()
	return pl.clean(files)
}

// leaveDeadSocket leaves a dead socket at the path, and returns its inode.
func (pl *planter) leaveDeadSocket() (inode uint64, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := unix.Bind(fd, &unix.SockaddrUnix{Name: pl.p.path})
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EADDRINUSE) || time.Now().After(until) {
			return 0, fmt.Errorf("bind: %w", err)
		}
		pl.visit()               // a window of the round before has opened late
		_ = os.Remove(pl.p.path) // or its program has put back a dead socket
	}
	var stat unix.Stat_t
	err = unix.Lstat(pl.p.path, &stat)
	if errors.Is(err, fs.ErrNotExist) { // a late window has replaced it, and has ended
		err = nil
	}
	return stat.Ino, err
}

// awaitTemporary waits for the temporary name of a socket.
func (pl *planter) awaitTemporary() bool {
	for until := time.Now().Add(50 * time.Millisecond); time.Now().Before(until); {
		entries, err := os.ReadDir(pl.p.place.dir)
		for _, e := range entries {
			if err == nil && strings.HasPrefix(e.Name(), "s.") {
				return true
			}
		}
	}
	return false
}

// plant makes files until one has the inode of the dead socket, and puts it at the path. If
// none has it, it puts the last one there. It returns all files. They are open, so that one
// that has no name any more can be noticed.
func (pl *planter) plant(dead uint64) (files []*os.File, err error) {
	for range 20 {
		f, err := os.OpenFile(filepath.Join(pl.p.place.dir, fmt.Sprint("f", len(files))), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return files, err
		}
		files = append(files, f)
		stat, err := statOf(f)
		if err != nil {
			return files, err
		}
		if stat.Ino == dead {
			pl.p.tally.add("files with the inode of a dead socket", 1)
			break
		}
	}
	last := files[len(files)-1]
	if unix.Renameat2(unix.AT_FDCWD, last.Name(), unix.AT_FDCWD, pl.p.path, unix.RENAME_NOREPLACE) == nil { // otherwise the program was faster
		pl.p.tally.add("files put at the path", 1)
	}
	return files, nil
}

func statOf(f *os.File) (stat unix.Stat_t, err error) {
	err = unix.Fstat(int(f.Fd()), &stat)
	return stat, err
}

// visit ends the window, if there is one. Only root may connect.
func (pl *planter) visit() {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.Setfsuid(0) // connect would fail, and windows would stay open
	_ = unix.Connect(fd, &unix.SockaddrUnix{Name: pl.p.path})
	_ = unix.Setfsuid(stranger) // as before
}

// clean removes the files, which may have got another name. It must find all of them.
func (pl *planter) clean(files []*os.File) error {
	found := 0
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		entries, err := os.ReadDir(pl.p.place.dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() && os.Remove(filepath.Join(pl.p.place.dir, e.Name())) == nil {
				found++
			}
		}
		left := 0
		for _, f := range files {
			stat, err := statOf(f)
			if err != nil {
				return err
			}
			if stat.Nlink > 0 {
				left++
			}
		}
		if left == 0 {
			break
		}
		if time.Now().After(until) {
			return fmt.Errorf("%d files are not found", left)
		}
	}
	if found < len(files) {
		pl.p.fail(filesRemoved, "%d of %d files of another user were removed", len(files)-found, len(files))
	}
	for _, f := range files {
		f.Close()
	}
	return nil
}
