//go:build linux && !oneshot_noproc

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/shellwords"
)

// readFromOutside reports whether a process must be read from outside: it is a Go
// program without a manhole, or the person wants it. With a signal or with -n, the
// person wants the manhole.
func readFromOutside(t target, o connectOptions) (*discovery.Process, bool, error) {
	if t.pid == 0 || t.path != "" {
		if o.outside {
			return nil, false, usageError{"-outside: give the pid of the process, not a path"}
		}
		return nil, false, nil
	}
	p, err := discovery.Read(t.pid)
	switch {
	case o.outside && err != nil:
		return nil, false, explainProcess(t, p, err)
	case o.outside && !p.IsGo:
		return nil, false, fmt.Errorf("process %d (%s) is not a Go program, or one without build information; only Go programs can be read from outside", p.PID, p.Name)
	case o.outside && p.Library != "":
		return nil, false, fmt.Errorf("process %d (%s) is a program in another language with a library in Go, %s, and cannot be read from outside; "+
			"its manhole shows it: oneshot %d", p.PID, p.Name, p.Library, p.PID)
	case err != nil || !p.IsGo:
		return nil, false, nil
	}
	return p, o.outside || p.Notice == nil && o.signal == 0 && !o.noSignal, nil
}

// viaOutside runs a command from outside and returns true, if the process must be read so.
func viaOutside(t target, o connectOptions, words []string, stdout, stderr io.Writer) (is bool, err error) {
	p, is, err := readFromOutside(t, o)
	if !is || err != nil {
		return is, err
	}
	return true, outside(p, o.outside, words, stdout, stderr)
}

// instead is what to use from outside for a command that needs the help of the program.
// A command that is not here works from outside too.
var instead = map[string]string{
	"mem":           "proc status shows the memory of the process as the kernel sees it",
	"gc":            "nothing outside can start a collection",
	"leaks":         "stacks -state leaked shows what the garbage collector has proved before",
	"setgc":         "start the program with another GOGC",
	"memlimit":      "start the program with another GOMEMLIMIT",
	"maxprocs":      "start the program with another GOMAXPROCS",
	"freeosmem":     "nothing outside can give memory back",
	"blockrate":     "nothing outside can record this",
	"mutexfraction": "nothing outside can record this",
	"profile":       "perf record -g -p PID profiles the CPU, and stacks shows what the goroutines are doing",
	"trace":         "stacks -diff shows what changes between two looks",
	"metrics":       "the first screen, without a command, has what can be known from outside",
	"locals":        "gcore PID stops the process for a moment and writes a core, and dlv core shows the values in it",
	"sections":      "nothing outside can run functions of the program",
	"print":         "gcore PID stops the process for a moment and writes a core, and dlv core shows the values in it",
	"sessions":      "there are no sessions outside",
	"history":       "there is no session outside; your shell has a history",
	"stderr":        "proc fd/2 shows where its standard error goes",
	"deactivate":    "there is no door to close",
	"exit":          "there is no session to leave",
	"quit":          "there is no session to leave",
}

// fromOutside is what is different in a command from outside, for help.
var fromOutside = map[string]string{
	"stacks": "From outside nothing is stopped, at any size. The stack of a running goroutine is not known. -diff takes two looks,\n" +
		"one second apart, and there is no -pprof.\n",
	"goroutine": "From outside nothing is stopped.\n",
	"env":       "From outside it is the environment with which the program was started.\n",
	"proc":      "From outside, the files are those of /proc/PID.\n",
}

// outsider is a process that is read from outside.
type outsider struct {
	*discovery.Process
	forced         bool // it has a manhole, perhaps
	process        *procfs.Process
	stdout, stderr io.Writer
}

// outside runs a command for a process without its help: it reads the process's memory
// and its files in /proc. It sends no signal, does not stop the process and writes
// nothing to it.
func outside(p *discovery.Process, forced bool, words []string, stdout, stderr io.Writer) (err error) {
	if len(words) == 1 { // a line, as for a manhole
		if words, err = shellwords.Split(words[0]); err != nil {
			return usageError{err.Error()}
		}
	}
	process, err := procfs.Another(p.PID)
	if err != nil {
		return errHasEnded(p.PID)
	}
	defer process.Close()
	buffer := bufio.NewWriterSize(stdout, 64<<10)
	screen := display.NewScreen(buffer)
	o := &outsider{Process: p, forced: forced, process: process, stdout: screen, stderr: stderr}
	err = o.run(words, buffer.Flush)
	// Until here the pid may have come to belong to another process.
	if start, startErr := procfs.StartTime(process.Dir); startErr != nil || start != p.Start {
		err = errHasEnded(p.PID)
	}
	return errors.Join(err, screen.Flush(), buffer.Flush())
}

// run runs a command. flush shows what has been written so far.
func (o *outsider) run(words []string, flush func() error) error {
	name := ""
	if len(words) > 0 {
		name = words[0]
	}
	known := slices.ContainsFunc(command.Completions(), func(c *command.Command) bool { return c.Name == name })
	switch {
	case name == "", name == "help":
	case !known:
		return usageError{fmt.Sprintf("no command %.40q for a process that is read from outside; help lists them", name)}
	case instead[name] != "":
		return usageError{o.needsHelp(name)}
	}
	var c readCommand
	if name == "stacks" || name == "goroutine" || name == "screen" {
		var err error
		if c, err = parseRead(fmt.Sprintf("process %d", o.PID), words); err != nil {
			return err
		}
	}
	if name == "help" {
		return o.help(words[1:])
	}
	o.announce()
	switch name {
	case "", "screen":
		return o.firstScreen(flush, c)
	case "build":
		return o.build(words[1:])
	case "stacks", "goroutine":
		if c.Show != command.AsText && name == "stacks" && !c.Diff && c.File == "" { // which has the vital signs too
			return o.firstScreen(flush, c)
		}
		r, err := o.read()
		if err != nil {
			return err
		}
		defer r.Close()
		return r.run(o.stdout, o.stderr, c)
	}
	return o.builtin(name, words[1:])
}

// announce says once how the process is read.
func (o *outsider) announce() {
	why := "has no manhole, and is read from outside"
	if o.forced {
		why = "is read from outside"
	}
	fmt.Fprintf(o.stderr, "oneshot: process %d %s, without a signal and without a stop\n", o.PID, why)
}

// needsHelp says that a command does not work from outside.
func (o *outsider) needsHelp(name string) string {
	if o.Notice != nil {
		return fmt.Sprintf("%s needs the help of the program; without -outside, its manhole gives it", name)
	}
	return fmt.Sprintf("%s needs the help of the program, and process %d has no manhole; %s", name, o.PID, instead[name])
}

// builtin runs one of the commands that need only the files in /proc.
func (o *outsider) builtin(name string, args []string) error {
	all := command.All()
	c := all[slices.IndexFunc(all, func(c *command.Command) bool { return c.Name == name })]
	err := c.Run(context.Background(), &outsideSession{outsider: o}, args)
	if errors.Is(err, fs.ErrPermission) {
		return explainRights(o.Process, err)
	}
	if why := o.process.Sockets(); name == "fds" && why != nil {
		if errors.Is(why, fs.ErrPermission) {
			why = explainRights(o.Process, why)
		}
		fmt.Fprintf(o.stderr, "oneshot: the addresses of sockets are not known: %v\n", why)
	}
	return err
}

// help lists the commands for a process that is read from outside, or explains one.
func (o *outsider) help(args []string) error {
	if len(args) > 1 {
		return usageError{"help takes one command at a time: help [COMMAND]"}
	}
	found := false
	for _, c := range command.All() {
		usage := strings.TrimSpace(c.Name + " " + c.Args)
		switch {
		case len(args) == 0 && instead[c.Name] == "":
			fmt.Fprintf(o.stdout, "  %s\n", plaintext.Columns(usage, c.Summary))
		case len(args) == 1 && args[0] == c.Name:
			found = true
			if instead[c.Name] != "" {
				return usageError{o.needsHelp(c.Name)}
			}
			fmt.Fprintf(o.stdout, "%s\n%s\n%s\n%s", usage, c.Summary, c.Help, fromOutside[c.Name])
		}
	}
	if len(args) == 1 && !found {
		return usageError{fmt.Sprintf("no command %.40q; help without a name lists them", args[0])}
	}
	return nil
}

// hasEnded reports whether an error means that the process has ended.
func hasEnded(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }
