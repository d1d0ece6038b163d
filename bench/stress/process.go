//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience limits every wait. A wait that takes longer is a failure.
const patience = 30 * time.Second

// process is one program under stress, as the stress command sees it.
type process struct {
	run   *stress
	tally *tally
	kind  *kind
	place place
	name  string // for reports
	seed  uint64

	binary      string // that it runs
	cmd         *exec.Cmd
	path        string // of its socket
	triggerFile string
	stderr      string // the name of the file with its standard error
	ended       chan struct{}
	ending      atomic.Bool // we have begun to end it
	broken      atomic.Bool // something failed, so everything after it would fail too
	executed    atomic.Bool // it executed itself in place with an open window, and had no session since
	sure        bool        // the next signal must open a window: see enter
	sessions    atomic.Int64

	asking  sync.Mutex // is held during a question and its answer
	in      *os.File
	answers *bufio.Reader
	out     *os.File

	mu      sync.Mutex // guards the fields below
	actions []string   // the last ones
}

// place is the directory and the user of a program. If a program was killed, the
// next program gets its place and finds the dead socket.
type place struct {
	dir     string
	pattern string      // SocketPath
	uid     int         // 0: the user of the stress command
	dead    fs.FileInfo // the socket that was left
}

// start starts a program and waits until it is ready. It returns nil if that fails.
func (s *stress) start(k *kind, at place, name string, seed uint64) *process {
	p := &process{run: s, tally: s.tally, kind: k, place: at, name: name, seed: seed, ended: make(chan struct{})}
	p.stderr = filepath.Join(s.dir, name+".stderr")
	argv := []string{"program", "-kind", k.name, "-path", at.pattern, "-seed", strconv.FormatUint(seed, 10)}
	if k.trigger {
		p.triggerFile = filepath.Join(at.dir, "trigger")
		argv = append(argv, "-trigger", p.triggerFile)
	}
	p.binary = s.pick(k, seed)
	if s.cHandlers && canHaveCHandlers(p.binary) {
		argv = append(argv, "-c-handlers")
	}
	p.cmd = exec.Command(p.binary, argv...)
	// The program gets its own process group, so that Ctrl-C does not reach it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if at.uid != 0 {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(at.uid), Gid: uint32(at.uid)}
	}
	err := s.slowDown(p.cmd, seed)
	if err == nil {
		err = p.launch()
	}
	if p.cmd.Process != nil {
		p.path = strings.ReplaceAll(at.pattern, "%p", strconv.Itoa(p.pid()))
	}
	if err != nil {
		p.fail(noEnd, "the program did not start: %v", err)
		p.abandon(new(sync.WaitGroup))
		return nil
	}
	s.tally.add("programs", 1)
	return p
}

func (p *process) launch() error {
	stderr, err := os.Create(p.stderr)
	if err != nil {
		return err
	}
	defer stderr.Close()
	p.cmd.Stderr = stderr
	in, toIn, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	p.in = toIn
	fromOut, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	p.out, p.answers = fromOut, bufio.NewReader(fromOut)
	p.cmd.Stdin, p.cmd.Stdout = in, out
	if err := p.cmd.Start(); err != nil {
		close(p.ended)
		return err
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState has the result
		close(p.ended)
	}()
	if line, err := p.answer(); err != nil || line != "ready" {
		return fmt.Errorf("%q, %w", line, err)
	}
	return nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) isOver() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// isHaunted reports whether there is a file at the program's path already. In /tmp,
// this may be the dead socket of another program that had the pid before. It may
// belong to another user, and stress leaves it alone.
func (p *process) isHaunted() bool {
	_, err := os.Lstat(p.path)
	if err != nil || p.place.dead != nil {
		return false
	}
	p.path = filepath.Join(p.place.dir, "elsewhere") // no file will be there
	return true
}

// answer reads an answer, and waits only for a limited time.
func (p *process) answer() (string, error) {
	if err := p.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	line, err := p.answers.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// ask asks the program a question. The answer is empty if the program is ending.
func (p *process) ask(question string) string {
	p.asking.Lock()
	defer p.asking.Unlock()
	_, err := p.in.WriteString(question + "\n")
	var line string
	if err == nil {
		line, err = p.answer()
	}
	if err != nil && !p.ending.Load() {
		p.hangs("no answer to %q: %v", question, err)
	}
	return line
}

// note remembers an action for the report of a failure.
func (p *process) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const most = 30
	if len(p.actions) == most {
		p.actions = p.actions[1:]
	}
	p.actions = append(p.actions, time.Now().Format("15:04:05.000000 ")+fmt.Sprintf(format, args...))
}

// fail counts and reports a failure of this program. Its files stay.
func (p *process) fail(counter, format string, args ...any) {
	if p.broken.Swap(true) {
		return // this is a consequence of the first failure
	}
	var b strings.Builder
	fmt.Fprintf(&b, format, args...)
	if !p.ending.Load() {
		select {
		case <-p.ended:
			fmt.Fprintf(&b, "\nit has ended by itself: %v", p.cmd.ProcessState)
		case <-time.After(time.Second):
		}
	}
	fmt.Fprintf(&b, "\nprogram %s of kind %s, %v\nto repeat: -seed %d -workers %d -kinds %s\n", p.name, p.kind.name, p.cmd.Args, p.run.seed, p.run.workers, p.run.kinds)
	p.mu.Lock()
	fmt.Fprintf(&b, "last actions, from %d sessions:\n  %s\n", p.sessions.Load(), strings.Join(p.actions, "\n  "))
	p.mu.Unlock()
	fmt.Fprintf(&b, "the end of its standard error, %s:\n%s", p.stderr, tail(p.stderr, 40))
	p.tally.fail(counter, b.String())
}

// tail returns the last lines of a file.
func tail(name string, n int) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(text), "\n")
	for i, line := range lines {
		if len(line) > 300 {
			lines[i] = line[:300] + "...\n"
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// hangs reports a wait that timed out, with the stacks of the program.
func (p *process) hangs(format string, args ...any) {
	p.failWithStacks(noEnd, format, args...)
}

// failWithStacks is like fail, and makes the program print its stacks first.
func (p *process) failWithStacks(counter, format string, args ...any) {
	over := p.isOver()
	if !over {
		p.ending.Store(true)
		for _, sig := range []syscall.Signal{syscall.SIGCONT, syscall.SIGQUIT} {
			_ = p.cmd.Process.Signal(sig) // the program may have ended
		}
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
		format += "\nthe file of its standard error, below, has the stacks of all goroutines"
	}
	p.fail(counter, format, args...)
}

// terminate ends the program in the given way, and checks the ended program. It
// returns the place if the next program should get it.
func (p *process) terminate(e end, r *rand.Rand, clients *sync.WaitGroup) *place {
	p.note("ended by %s", e)
	p.ending.Store(true)
	if e.asks {
		p.in.Close()
	}
	for _, sig := range e.signals {
		p.send(sig)
	}
	select {
	case <-p.ended:
		if e.signals != nil && e.signals[0] == syscall.SIGQUIT && isRace(p.binary) && p.status().Signal() == syscall.SIGSEGV {
			p.tally.add("QUIT ended by SIGSEGV", 1) // the runtime's fault: findings/sigquit-race-detector.sh
		} else if wrong := e.wrong(p.kind, isCHost(p.binary), p.status()); wrong != "" {
			p.fail(wrongStatus, "%s", wrong)
		}
	case <-time.After(patience):
		p.hangs("the program does not end")
	}
	clients.Wait()
	return p.finish(e, r)
}

func (p *process) status() syscall.WaitStatus { return p.cmd.ProcessState.Sys().(syscall.WaitStatus) }

// abandon ends a program that has failed.
func (p *process) abandon(clients *sync.WaitGroup) {
	p.ending.Store(true)
	if p.cmd.Process != nil {
		_ = p.cmd.Process.Kill() // it may have ended
	}
	<-p.ended
	clients.Wait()
	p.finish(end{signals: []syscall.Signal{syscall.SIGKILL}}, nil)
}

var fault = regexp.MustCompile(`(?m)^(panic: |fatal error: |unexpected fault|WARNING: DATA RACE)`)

// finish checks what the ended program has written and left behind.
func (p *process) finish(e end, r *rand.Rand) *place {
	p.in.Close()
	p.out.Close()
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		p.fail(faults, "%v", err)
	}
	if found := fault.Find(text); found != nil {
		p.fail(faults, "its standard error contains %q", found)
	}
	windows := strings.Count(string(text), "oneshot: window open")
	if p.kind.unlogged {
		windows = int(p.sessions.Load())
	}
	p.tally.add("windows", windows)

	keep := p.look(e, r)
	if keep == nil {
		_ = os.RemoveAll(p.place.dir) // at the end, the whole temporary directory is removed
	}
	if !p.broken.Load() {
		_ = os.Remove(p.stderr)
	}
	return keep
}

// look looks for sockets that were left behind. It returns the place if a socket may
// be left there, and the next program should find it.
func (p *process) look(e end, r *rand.Rand) *place {
	dead := p.place.dead
	if dead != nil {
		if now, err := os.Lstat(p.path); err != nil || !os.SameFile(now, dead) {
			p.tally.add("of those replaced", 1)
			dead = nil
		}
	}
	if p.kind.abstract {
		return nil
	}
	temporary, err := filepath.Glob(p.path + ".*")
	if err != nil {
		p.fail(filesLeft, "%v", err)
	}
	for _, file := range append(temporary, p.path) {
		now, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			p.fail(filesLeft, "%v", err)
			continue
		}
		switch old := dead != nil && os.SameFile(now, dead); {
		case !old && p.executed.Load():
			p.tally.add("left by exec in place", 1)
		case !old && !e.leaves():
			p.fail(filesLeft, "%s is left after %s", file, e)
		case !old:
			p.tally.add("left by kill -9 or QUIT", 1)
			fallthrough
		default:
			if r != nil && file == p.path && !strings.Contains(p.place.pattern, "%p") && r.IntN(2) == 0 {
				next := p.place
				next.dead = now
				return &next
			}
			p.tally.add("of those removed", 1)
		}
		_ = os.Remove(file)
	}
	return nil
}
