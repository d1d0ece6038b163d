//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// env returns the task to show the environment, without the values if they are not asked for.
func (b *bundler) env() bundle.Task {
	t := b.command("env.txt", quickTime, "env")
	if b.values {
		return t
	}
	run := t.Make
	t.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		var all bytes.Buffer
		o, err := run(ctx, &all)
		for line := range strings.Lines(all.String()) {
			if name, _, ok := strings.Cut(line, "="); ok {
				fmt.Fprintln(w, name)
			}
		}
		return o, err
	}
	return t
}

// settingCommands show a setting if they have no arguments.
var settingCommands = []string{"setgc", "memlimit", "maxprocs", "blockrate", "mutexfraction"}

// settings returns the task to show the settings.
func (b *bundler) settings() bundle.Task {
	return bundle.Task{
		Name: "settings.txt", Command: strings.Join(settingCommands, "; "), Limit: quickTime,
		Make: func(ctx context.Context, w io.Writer) (all bundle.Outcome, err error) {
			for _, name := range settingCommands {
				fmt.Fprintf(w, "%s: ", name)
				o, failed := b.run(ctx, w, name)
				if failed != nil {
					fmt.Fprintln(w, failed)
				}
				err = errors.Join(err, failed)
				all.Stopped = all.Stopped.Plus(o.Stopped)
			}
			return all, err
		},
	}
}

// files returns the task to read files of the kernel. If there is more than one, each has a
// heading.
func (b *bundler) files(name string, find func() ([]string, error)) bundle.Task {
	read := func(w io.Writer) error {
		paths, err := find()
		if err == nil && len(paths) == 0 {
			err = errors.New("there are no such files here")
		}
		for _, path := range paths {
			f, openErr := os.Open(path)
			if openErr != nil {
				if !errors.Is(openErr, fs.ErrNotExist) || len(paths) == 1 {
					err = errors.Join(err, openErr)
				}
				continue
			}
			if len(paths) > 1 {
				fmt.Fprintf(w, "==> %s <==\n", path)
			}
			_, copyErr := io.Copy(w, io.LimitReader(f, maxFile))
			err = errors.Join(err, copyErr, f.Close())
		}
		return err
	}
	return bundle.Task{
		Name: name, Limit: quickTime,
		Make: func(_ context.Context, w io.Writer) (bundle.Outcome, error) {
			err := read(w)
			if b.manhole.ended() { // until here, the pid may have come to belong to another process
				return bundle.Outcome{LeaveOut: true}, bundle.ErrProgramEnded
			}
			return bundle.Outcome{}, err
		},
	}
}

// cgroupNames are the files of a control group that say what it allows and what was used
// (the kernel's cgroup-v2.rst and cgroup-v1).
var cgroupNames = []string{
	"memory.current", "memory.peak", "memory.low", "memory.high", "memory.max", "memory.swap.current", "memory.swap.max", "memory.events", "memory.stat", "memory.pressure",
	"cpu.max", "cpu.weight", "cpu.stat", "cpu.pressure", "cpuset.cpus.effective", "io.stat", "io.max", "io.pressure", "pids.current", "pids.max", "pids.events",
	"memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes", "memory.failcnt", "memory.oom_control",
	"cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "cpuacct.usage",
}

// cgroupFiles returns the files of the control groups of a process, as far as they are there.
func cgroupFiles(dir string) (paths []string, err error) {
	dirs, err := procfs.CgroupDirs(dir)
	for _, dir := range dirs {
		for _, name := range cgroupNames {
			if _, err := os.Lstat(dir + "/" + name); err == nil {
				paths = append(paths, dir+"/"+name)
			}
		}
	}
	return paths, err
}
