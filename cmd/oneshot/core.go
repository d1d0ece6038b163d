//go:build linux && !oneshot_noproc

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/image/core"
	"github.com/gomanhole/oneshot/internal/sigset"
)

const coreHelp = `usage: oneshot core FILE [EXECUTABLE] [COMMAND [ARG...]]

Reads the core file of a Go program: what ended it, what its goroutines were doing,
and what stands out. The program needs no manhole. A core is written by gcore PID, or
by the kernel when a program ends with GOTRACEBACK=crash and ulimit -c allows it;
coredumpctl dump -o FILE PID gets one from systemd.

EXECUTABLE is the file of the program. It is needed if the file is no longer at the
path that the core names. It must be the same file, not a new build of it.

	oneshot core /tmp/core.4321
	oneshot core core ./server stacks -n 0
	oneshot core core ./server goroutine 18

The commands are

	stacks [FLAGS] [REGEXP]   as in a session: -n N, -state S, -full, -frames, -paths, -go, -o FILE
	goroutine ID              one goroutine
	screen                    the first screen

With -json behind the command, or behind the file, the answer is one JSON object.
Without a command, core shows the first screen. A core does not contain the time at
which it was written. So the minutes that a goroutine has waited may be too few.
`

// coreCommand is the command line of oneshot core.
type coreCommand struct {
	readCommand
	file, executable string
}

func runCore(args []string, stdout, stderr io.Writer) error {
	c, err := parseCore(args)
	if err != nil {
		return err
	}
	opened, err := openCore(c.file, c.executable)
	if err != nil {
		return err
	}
	defer opened.Close()
	out := display.NewScreen(stdout)
	if c.command == "" && c.Show == command.AsText {
		opened.identity(out)
	}
	for _, remark := range opened.Remarks {
		fmt.Fprintf(stderr, "oneshot: %s\n", display.EscapeLine(remark))
	}
	return errors.Join(opened.run(out, stderr, c.readCommand), out.Flush())
}

func parseCore(args []string) (c coreCommand, err error) {
	rest, err := parseFlags("core", args, noFlags)
	if err != nil {
		return c, err
	}
	if len(rest) == 0 {
		return c, usageError{"core: give a core file, and the program's executable if it has moved: oneshot core FILE [EXECUTABLE]"}
	}
	c.file, rest = rest[0], rest[1:]
	isCommand := func(word string) bool { return word == "stacks" || word == "goroutine" || word == "screen" }
	if len(rest) > 0 && rest[0] != "-json" && !isCommand(rest[0]) {
		c.executable, rest = rest[0], rest[1:]
	}
	c.readCommand, err = parseRead("core", orScreen(rest))
	return c, err
}

// openedCore is a core with its program.
type openedCore struct {
	*core.Core
	reading
}

func openCore(file, executable string) (*openedCore, error) {
	c, err := core.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("core: %w; give a core file, such as gcore or coredumpctl dump writes", err)
	} else if err != nil {
		return nil, err
	}
	o := &openedCore{Core: c}
	if err := o.attach(executable); err != nil {
		o.Close()
		if len(c.Remarks) > 0 { // what is missing may be the reason
			err = fmt.Errorf("%w. %s", err, strings.Join(c.Remarks, " "))
		}
		return nil, err
	}
	return o, nil
}

func (o *openedCore) attach(executable string) error {
	e, err := o.Attach(executable)
	switch {
	case executable == "" && err != nil:
		return fmt.Errorf("%w; name the program's executable: oneshot core FILE EXECUTABLE", err)
	case err != nil:
		return err
	}
	var threads []image.Registers
	for _, t := range o.Threads {
		threads = append(threads, registers(t))
	}
	if o.program, err = image.Open(o.Core, e, o.File(), o.Bias(e), threads); err != nil {
		return err
	}
	name := "a Go program"
	if len(o.Args) > 0 {
		name = filepath.Base(o.Args[0])
	}
	build := o.program.Build
	o.process = command.ProcessOf(nil, name, o.PID, build, build.GoVersion, "linux", o.Arch)
	o.core = o.document()
	return nil
}

func registers(t core.Thread) image.Registers {
	r := t.Registers
	return image.Registers{TID: t.TID, PC: r.PC, SP: r.SP, BP: r.BP, LR: r.LR}
}

// identity writes which program it was, what ended it, and the goroutine that the
// signal came to.
func (o *openedCore) identity(w io.Writer) {
	fmt.Fprintf(w, "core of %s, %s linux/%s, process %d\n", moduleText(o.program.Build), o.program.Build.GoVersion, o.Arch, o.PID)
	more := ""
	if o.ArgsCut {
		more = " ..."
	}
	fmt.Fprintf(w, "command line: %s%s\n", display.EscapeLine(argsText(o.Args)), more)
	fmt.Fprintf(w, "%s; %s\n", endText(o.Signal, o.PID), display.Count(len(o.Threads), "thread", "threads"))
	if o.core.Goroutine == 0 {
		return
	}
	fmt.Fprintf(w, "the signal came to the thread of goroutine %d", o.core.Goroutine)
	if o.core.Panic != "" {
		fmt.Fprintf(w, ", which had panicked because of %s", o.core.Panic)
	}
	fmt.Fprintln(w, ":")
	_ = o.goroutine(w, io.Discard, readCommand{goroutine: o.core.Goroutine})
}

// document returns what a JSON document says about the core.
func (o *openedCore) document() *document.Core {
	d := &document.Core{Args: o.Args, ArgsCut: o.ArgsCut, End: endText(o.Signal, o.PID), Threads: len(o.Threads)}
	if o.Signal.Number == 0 || len(o.Threads) == 0 {
		return d
	}
	d.Signal = sigset.Name(syscall.Signal(o.Signal.Number))
	if id, fault, ok := o.program.Ran(registers(o.Threads[0])); ok {
		d.Goroutine = id
		if fault.Signal != 0 {
			d.Panic = fmt.Sprintf("%s at address %#x", sigset.Name(syscall.Signal(fault.Signal)), fault.Addr)
		}
	}
	return d
}

// moduleText returns the main module, its version and the revision.
func moduleText(info *debug.BuildInfo) string {
	return cmp.Or(command.ModuleVersion(info), "a program without build information")
}

// argsText returns a command line as a shell would take it.
func argsText(args []string) string {
	words := slices.Clone(args)
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$`") {
			words[i] = strconv.Quote(w)
		}
	}
	const most = 400
	text := strings.Join(words, " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + " ..."
	}
	return text
}

// endText says what ended the program.
func endText(s core.Signal, pid int) string {
	if s.Number == 0 {
		return "no signal ended it: the core was taken while it ran"
	}
	text := "ended by SIG" + strings.TrimPrefix(sigset.Name(syscall.Signal(s.Number)), "SIG")
	switch {
	case s.Fault():
		text += fmt.Sprintf(" at address %#x", s.Addr)
	case s.Sent() && s.PID == pid:
		text += ", which it sent to itself, as the Go runtime does after a panic or SIGQUIT with GOTRACEBACK=crash"
	case s.Sent():
		text += fmt.Sprintf(", sent by process %d of uid %d", s.PID, s.UID)
	}
	return text
}
