package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// process is a running program of a system.
type process struct {
	name   string // what it is
	cmd    *exec.Cmd
	stdin  io.Closer
	dir    string
	ready  string // the address for its clients
	began  time.Time
	counts *tally
}

// starting is how long a process may take until it is ready.
const starting = 5 * time.Minute

// start starts a program and waits until it is ready.
func start(ctx context.Context, name, binary string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.CommandContext(ctx, binary), began: time.Now()}
	var err error
	if p.dir, err = os.MkdirTemp("", "healthy-files"); err != nil {
		return nil, err
	}
	p.cmd.Args = append(p.cmd.Args, args[0], args[1], p.dir)
	p.cmd.Args = append(p.cmd.Args, args[2:]...)
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(starting, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			p.ready = address
			go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the program
			return p, nil
		}
	}
	p.end()
	return nil, fmt.Errorf("%s was not ready within %v", name, starting)
}

func (p *process) end() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = os.RemoveAll(p.dir)
}

// looker looks at processes.
type looker struct {
	options
	ctx    context.Context
	client string // the path of the command oneshot
	shown  int    // the number of screens in the folder for them
}

// settling is how long a process that is ready gets until it is looked at.
const settling = 2 * time.Second

// system builds a system, and looks at its processes idle and under load. It returns the
// idle ones if they are to be looked at again.
func (l *looker) system(b builder, s system, module string, t *tally) (idle []*process, err error) {
	binary, err := b.build(s, module)
	if err != nil {
		return nil, err
	}
	defer os.Remove(binary) // a process that runs keeps it
	for _, state := range []string{"idle", "load"} {
		var all []*process
		started, err := start(l.ctx, t.name+", "+state, binary, "serve", state)
		if err == nil {
			all = append(all, started)
			if s.clients {
				started, err = start(l.ctx, t.name+", clients, "+state, binary, "clients", state, started.ready)
				if err == nil {
					all = append(all, started)
				}
			}
		}
		for _, p := range all {
			p.counts = t
			if err == nil {
				time.Sleep(settling)
				err = l.at(p, l.looks)
			}
		}
		if err == nil && state == "idle" && l.age > 0 {
			idle = append(idle, all...)
			continue
		}
		for _, p := range slices.Backward(all) { // the clients first
			p.end()
		}
		if err != nil {
			return idle, err
		}
	}
	return idle, nil
}

// again looks at a process when it is old enough.
func (l *looker) again(p *process) error {
	select {
	case <-time.After(time.Until(p.began.Add(l.age))):
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
	p.name += ", old"
	return l.at(p, 1)
}

// at looks n times at a process, each time in three ways.
func (l *looker) at(p *process, n int) error {
	for range n {
		began := time.Now()
		screen, stacks, err := session(p.cmd.Process.Pid)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		p.counts.longest = max(p.counts.longest, time.Since(began))
		outside, err := exec.CommandContext(l.ctx, l.client, "-outside", strconv.Itoa(p.cmd.Process.Pid), "stacks").Output()
		if err != nil {
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				err = fmt.Errorf("%w: %s", err, exit.Stderr)
			}
			return fmt.Errorf("%s, from outside: %w", p.name, err)
		}
		for _, look := range [][2]string{{"first screen", screen}, {"stacks", stacks}, {"outside", string(outside)}} {
			if err := l.judge(p, look[0], look[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge counts what a look has shown, and prints false findings.
func (l *looker) judge(p *process, kind, text string) error {
	found, err := findings(text)
	if err != nil {
		return fmt.Errorf("%s, %s: %w:\n%s", p.name, kind, err, text[:min(len(text), 2000)])
	}
	p.counts.looks++
	p.counts.wrong += len(found)
	if l.verbose {
		fmt.Printf("%s, %s: %d findings\n", p.name, kind, len(found))
	}
	if len(found) == 0 {
		return nil
	}
	for _, f := range found {
		fmt.Printf("false finding, %s, %s:\n    %s\n", p.name, kind, strings.ReplaceAll(f, "\n", "\n    "))
	}
	if l.screens == "" {
		return nil
	}
	l.shown++
	name := fmt.Sprintf("%03d %s, %s.txt", l.shown, p.name, kind)
	return os.WriteFile(filepath.Join(l.screens, strings.ReplaceAll(name, "/", "_")), []byte(text), 0o600)
}

// entering is how long a client tries to enter, and waits for an answer.
const entering = 2 * time.Minute

// session has a session with a process. It returns its first screen, and the answer to
// the command stacks.
func session(pid int) (screen, stacks string, err error) {
	deadline := time.Now().Add(entering)
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		return "", "", err
	}
	var conn net.Conn
	for conn == nil {
		if conn, err = net.Dial("unix", fmt.Sprintf("/tmp/manhole-%d", pid)); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return "", "", fmt.Errorf("not entered within %v: %w", entering, err)
		}
		time.Sleep(time.Millisecond)
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", "", err
	}
	if screen, err = readAnswer(conn); err != nil {
		return "", "", err
	}
	if _, err := io.WriteString(conn, "stacks\n"); err != nil {
		return "", "", err
	}
	stacks, err = readAnswer(conn)
	return screen, stacks, err
}

// readAnswer reads until the prompt.
func readAnswer(conn net.Conn) (string, error) {
	var text strings.Builder
	buf := make([]byte, 64<<10)
	for tail := ""; !strings.HasSuffix(tail, "\n"+protocol.Prompt); {
		n, err := conn.Read(buf)
		if err != nil {
			return "", fmt.Errorf("waiting for the prompt: %w", err)
		}
		text.Write(buf[:n])
		tail += string(buf[:n])
		tail = tail[max(0, len(tail)-2*len(protocol.Prompt)):]
	}
	return text.String(), nil
}
