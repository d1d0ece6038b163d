//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
)

// command is a line that a client sends, and the form of a correct answer. The line
// of a command that makes a file contains FILE.
type command struct {
	line string
	want *regexp.Regexp
}

// A command that takes more than a second writes lines of progress first. So the
// patterns have (?m)^ and not the beginning of the answer.
var commands = compile([][2]string{
	{"help", `(?ms)^  stacks \[FLAGS\] \[REGEXP\] .*^  quit `},
	{"help gc", `(?m)^run the garbage collector now`},
	{"stacks", `(?m)^\d+ goroutines? in \d+ groups?`},
	{"stacks -n 2 -state select", `(?m)^\d+ goroutines? \(of \d+\) in \d+ groups?`},
	{"stacks -full", `(?m)^\d+ goroutines? in \d+ groups?`},
	{"stacks -diff", `(?m)^no group has grown or shrunk since|since the dump before, \d+ groups? changed|^stacks: nothing to compare with`},
	{"stacks -go", `(?m)^goroutine \d+ .*\[running\]:|the dump would stop the program for too long`},
	{"stacks -n 1 main", `(?m)^\d+ goroutines? \(of \d+\) in \d+ groups?`},
	{"stacks -state", `^stacks: flag needs an argument: -state`},
	{"goroutine 1", `(?m)^goroutine 1 .*\[`},
	{"goroutine 4000000000000", `(?m)^goroutine: there is no goroutine 4000000000000 now;`},
	{"goroutine one", `^goroutine: "one" is not an id`},
	{"mem", `(?ms)^heap in use .*^collector .*^settings `},
	{"gc", `(?m)^collected in .*; freed .*; heap in use `},
	{"freeosmem", `(?ms)^it took .*^heap in use `},
	{"build", `go1\.\d+`},
	{"signals", `(?ms)^SigPnd .*^SigCgt .*^listens to`},
	{"threads", `(?m)^\d+ threads?: `},
	{"fds", `(?m)^\d+ of \S+: `},
	{"env PATH", `^.+\n$`},
	{"env", `(?m)^PATH=`},
	{"metrics /sched", `(?m)^/sched/gomaxprocs:threads +\d+$`},
	{"metrics /nonsense", `^metrics: no name contains "/nonsense"`},
	{"proc", `(?m)^task/$`},
	{"proc status", `(?m)^Pid:\tPID$`},
	{"proc ../1/status", `^proc: `},
	{"profile", `(?m)^goroutine +\d+ `},
	{"profile heap -o FILE", ` written to `},
	{"profile goroutine -o FILE", ` written to `},
	{"profile cpu -seconds 0.05 -o FILE", ` written to |^profile: cpu profiling already in use`},
	{"trace -seconds 0.02 -o FILE", ` written to |^trace: `},
	{"blockrate", `^block profile rate `},
	{"mutexfraction", `^mutex profile fraction `},
	{"setgc", `^GOGC is `},
	{"memlimit", `^memory limit is `},
	{"maxprocs", `GOMAXPROCS`},
	{"locals", `^the program has given no values`},
	{"print nothing", `^print: there is no local "nothing"`},
	{"history", `(?m)^ +\d+  history$`},
	{"sessions", `(?m)^\* \d+  pid \d+, uid `},
	{"stderr", `(?m)standard error`},
	{"deactivate", `^deactivate: the manhole is not active|^deactivated`},
	{"nonsense", `^no command "nonsense"; help lists them\n$`},
	{"'unclosed", `^no command |quote`},
})

func compile(table [][2]string) (all []command) {
	for _, row := range table {
		all = append(all, command{row[0], regexp.MustCompile(row[1])})
	}
	return all
}

var fileNumber atomic.Int64

// pick returns the line of a random command, and a function that checks the answer.
func (p *process) pick(r *rand.Rand) (line string, check func(answer string) error) {
	c := commands[r.IntN(len(commands))]
	file := ""
	line = c.line
	if strings.Contains(line, "FILE") {
		file = filepath.Join(p.place.dir, fmt.Sprint("made-", fileNumber.Add(1)))
		line = strings.Replace(line, "FILE", file, 1)
	}
	want := c.want
	if c.line == "proc status" {
		want = regexp.MustCompile(strings.Replace(want.String(), "PID", fmt.Sprint(p.pid()), 1))
	}
	if c.line == "goroutine 1" && isCHost(p.binary) { // main is in C
		want = regexp.MustCompile(`^goroutine: there is no goroutine 1 now|` + want.String())
	}
	return line, func(answer string) error {
		p.tally.add("commands", 1)
		if !want.MatchString(answer) {
			return fmt.Errorf("%q was answered %.2000q, which does not match %s", line, answer, want)
		}
		if file == "" || !strings.Contains(answer, " written to ") {
			return nil
		}
		defer os.Remove(file)
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			return fmt.Errorf("%q: %q, but the file is empty or missing: %v", line, answer, err)
		}
		return nil
	}
}
