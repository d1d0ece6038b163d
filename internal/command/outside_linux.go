package command

import (
	"errors"
	"fmt"
	"io"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// The client reads programs from outside: from their memory and from /proc. It takes
// the flags and the texts of the commands from here.

// Stacks are the flags of the command stacks.
type Stacks struct {
	dump.Options
	Diff bool
	File string // of -o; empty: none
	Show Form
}

// ParseStacks parses the arguments of stacks for a program that is read from outside.
func ParseStacks(args []string) (Stacks, error) {
	args, form := CutJSON(args)
	f, err := parseStacks(args)
	switch {
	case err != nil:
	case f.asPprof:
		err = errors.New("stacks: only the program can write a profile; stacks -go has every stack")
	case form != AsText:
		err = f.checkJSON()
	}
	return Stacks{f.Options, f.diff, f.file, form}, err
}

// ParseGoroutine parses the arguments of goroutine.
func ParseGoroutine(args []string) (id uint64, form Form, err error) {
	args, form = CutJSON(args)
	var force bool // nothing is stopped, so there is nothing to force
	id, err = parseGoroutine(args, &force)
	return id, form, err
}

// ToFile writes a new file with mode 0600, as the flag -o of the commands does, and
// reports to w how large it is.
func ToFile(w io.Writer, name string, write func(io.Writer) error) error {
	return toFile(w, name, write)
}

// Outside has the vital signs of a program that is read from outside.
type Outside struct {
	Before, Now vitals.Sample
	Memory      vitals.Memory
	Cgroup      procfs.Cgroup
	Descriptors vitals.Descriptors // zero if it is not known
	Goroutines  *stack.Snapshot    // nil if they could not be read
}

// Write writes the vital signs in three lines, as the first screen of a session does.
func (o *Outside) Write(w io.Writer) {
	text := cpuText(o.Before, o.Now)
	if n := o.Cgroup.CPUs; n > 0 {
		text = fit(text, fmt.Sprintf("; its cgroup may use %.3g", n))
	}
	fmt.Fprintln(w, text)
	text = fmt.Sprintf("memory %s resident, at most %s so far", vitals.Bytes(o.Memory.Resident), vitals.Bytes(o.Memory.Peak))
	if n := o.Memory.Swapped; n > 0 {
		text = fit(text, fmt.Sprintf(", %s swapped out", vitals.Bytes(n)))
	}
	if n := o.Cgroup.MemoryLimit; n > 0 {
		text = fit(text, fmt.Sprintf("; its cgroup uses %s of %s", vitals.Bytes(o.Cgroup.MemoryUsed), vitals.Bytes(n)))
	}
	fmt.Fprintln(w, withDescriptors(text, o.Descriptors))
	if o.Goroutines == nil {
		fmt.Fprintln(w, plaintext.Plural(int(o.Now.Threads), "thread"))
		return
	}
	fmt.Fprintln(w, goroutinesLine(o.states()))
}

// states returns a sample with the numbers of threads and goroutines.
func (o *Outside) states() vitals.Sample {
	now := vitals.Sample{Threads: o.Now.Threads}
	if o.Goroutines != nil {
		now.Running, now.Runnable, now.Waiting, now.InSyscall = count(o.Goroutines)
		now.Goroutines = now.Running + now.Runnable + now.Waiting + now.InSyscall
	}
	return now
}

// Document returns the vital signs for a document.
func (o *Outside) Document() *document.Vitals {
	v := vitalsOf(o.Before, o.states(), o.Descriptors)
	v.CPU = cpuOf(o.Before, o.Now)
	v.CPU.Cgroup = o.Cgroup.CPUs
	v.Memory = document.Memory{
		Resident: o.Memory.Resident, Peak: o.Memory.Peak, Swapped: o.Memory.Swapped,
		CgroupUsed: o.Cgroup.MemoryUsed, CgroupLimit: o.Cgroup.MemoryLimit,
	}
	return v
}

// count counts the goroutines by what they are doing.
func count(s *stack.Snapshot) (running, runnable, waiting, inSyscall uint64) {
	for _, g := range s.Groups {
		switch g.State {
		case "running":
			running += uint64(g.Count)
		case "runnable":
			runnable += uint64(g.Count)
		case "syscall":
			inSyscall += uint64(g.Count)
		default:
			waiting += uint64(g.Count)
		}
	}
	return running, runnable, waiting, inSyscall
}
