//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// worker starts one program after another, until ctx ends.
func (s *stress) worker(ctx context.Context, number int) {
	var left *place // by the last program, with a dead socket in it
	for i := 0; ctx.Err() == nil; i++ {
		seed := uint64(number)<<32 | uint64(i)
		r := rand.New(rand.NewPCG(s.seed, seed))
		k := s.choice[r.IntN(len(s.choice))]
		at := left
		if at == nil || k.abstract {
			if at != nil {
				_ = os.RemoveAll(at.dir) // with the socket
			}
			at = s.newPlace(k, fmt.Sprintf("%d.%d", number, i), r)
		}
		if at == nil {
			return
		}
		left = nil
		p := s.start(k, *at, fmt.Sprintf("%d.%d", number, i), seed)
		if p == nil {
			continue
		}
		if p.isHaunted() {
			p.abandon(new(sync.WaitGroup))
			continue
		}
		p.sure = true
		switch n := r.IntN(20); {
		case n < 9:
			left = p.brief(r)
		case n < 18:
			left = p.middling(ctx, r)
		default:
			left = p.long(ctx, r)
		}
	}
	if left != nil {
		_ = os.RemoveAll(left.dir)
	}
}

func (s *stress) newPlace(k *kind, name string, r *rand.Rand) *place {
	at := &place{dir: filepath.Join(s.dir, name)}
	err := os.Mkdir(at.dir, 0o755)
	if err == nil && os.Geteuid() == 0 && r.IntN(4) == 0 {
		at.uid = owner
		err = os.Chown(at.dir, owner, owner)
	}
	if err != nil {
		s.tally.fail(faults, err.Error())
		return nil
	}
	switch n := r.IntN(3); {
	case k.abstract:
		at.pattern = fmt.Sprintf("@oneshot-stress-%d-%s-%%p", os.Getpid(), name)
	case n == 0:
		at.pattern = "/tmp/manhole-%p"
	case n == 1:
		at.pattern = filepath.Join(at.dir, "manhole-%p")
	default:
		at.pattern = filepath.Join(at.dir, "s")
	}
	return at
}

// over ends a program in a random way, and waits for its clients.
func (p *process) over(r *rand.Rand, clients *sync.WaitGroup) *place {
	if p.broken.Load() {
		p.abandon(clients)
		return nil
	}
	return p.terminate(ends[r.IntN(len(ends))], r, clients)
}

// brief is a program that is ended just when something begins.
func (p *process) brief(r *rand.Rand) *place {
	var clients sync.WaitGroup
	switch r.IntN(4) {
	case 0: // nothing begins
	case 1:
		p.open(r)
	case 2:
		p.burst(1 + r.IntN(100))
	default:
		one := rand.New(rand.NewPCG(r.Uint64(), 0))
		clients.Go(func() { p.visit(one, false) })
		pause(r, 3*time.Millisecond)
	}
	pause(r, []time.Duration{50 * time.Microsecond, 600 * time.Microsecond, 5 * time.Millisecond}[r.IntN(3)])
	return p.over(r, &clients)
}

// middling is a program with a few things in it, which is ended at rest or in
// the midst of a crowd.
func (p *process) middling(ctx context.Context, r *rand.Rand) *place {
	for range 1 + r.IntN(5) {
		if ctx.Err() == nil && !p.broken.Load() {
			p.act(r)
		}
	}
	var clients sync.WaitGroup
	if r.IntN(2) == 0 {
		one := rand.New(rand.NewPCG(r.Uint64(), 0))
		clients.Go(func() { p.crowd(one) })
		pause(r, 50*time.Millisecond)
	}
	return p.over(r, &clients)
}

// long is a program that lives on, and must be afterwards what it was before.
func (p *process) long(ctx context.Context, r *rand.Rand) *place {
	p.visit(r, true)
	p.crowd(r) // has as many threads as will be needed, about
	before := p.rest(nil)
	until := time.Now().Add(4*time.Second + time.Duration(r.Int64N(int64(6*time.Second))))
	for ctx.Err() == nil && time.Now().Before(until) && !p.broken.Load() {
		p.act(r)
	}
	if before != nil && !p.broken.Load() {
		p.rest(before)
	}
	return p.over(r, new(sync.WaitGroup))
}

// act does one thing, and returns when it is over.
func (p *process) act(r *rand.Rand) {
	switch n := r.IntN(16); {
	case n == 0 && p.kind.name == "activate":
		p.note("deactivate")
		p.ask("deactivate")
	case n < 4 && p.kind.again:
		p.again(r)
	case n < 8:
		p.visit(r, p.sure)
	case n < 11:
		p.crowd(r)
	case n < 13:
		p.burst([]int{10, 100, 3000}[r.IntN(3)])
	case n < 14:
		p.stop(r)
	default:
		p.trespass(r)
	}
}

// crowd is clients at the same time, some of whom do not get in at once.
func (p *process) crowd(r *rand.Rand) {
	n := 2 + r.IntN(5)
	if r.IntN(5) == 0 {
		n = 14 // more than may be inside
	}
	p.note("a crowd of %d", n)
	p.sure = false
	var clients sync.WaitGroup
	for range n {
		one := rand.New(rand.NewPCG(r.Uint64(), 0))
		clients.Go(func() {
			for range 1 + one.IntN(4) {
				p.visit(one, false)
			}
		})
	}
	if r.IntN(3) == 0 {
		p.burst(r.IntN(2000))
	}
	clients.Wait()
	// Whoever is let in now has nobody before him in the line.
	if !p.ending.Load() {
		if c := p.enter(r, false, false); c != nil {
			c.conn.Close()
			p.sure = true
		}
	}
}

// again has the program execute itself in place, mostly with an open window.
func (p *process) again(r *rand.Rand) {
	if r.IntN(4) > 0 {
		p.send(syscall.SIGUSR2)
		for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if _, err := os.Lstat(p.path); err == nil || p.isOver() {
				break
			}
			if time.Now().After(until) {
				p.failWithStacks(noWindow, "no socket %v after one signal", patience)
				return
			}
		}
	} else {
		p.closeWindow(r)
	}
	// A pending signal would be deadly to the new image, before the runtime handles anything.
	for until := time.Now().Add(patience); p.isPending(syscall.SIGUSR2); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			p.failWithStacks(noEnd, "USR2 is still pending after %v", patience)
			return
		}
	}
	p.note("executes itself in place")
	p.executed.Store(true)
	if answer := p.ask("again"); answer != "ready" {
		p.failWithStacks(noEnd, "after exec in place it said %q", answer)
		return
	}
	p.tally.add("executed in place", 1)
}

// isPending reports whether the kernel still has a signal for the program that
// no thread has taken (proc_pid_status(5): ShdPnd, SigPnd).
func (p *process) isPending(sig syscall.Signal) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.pid()))
	for _, file := range files {
		text, readErr := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			name, mask, _ := strings.Cut(line, ":\t")
			bits, parseErr := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			if (name == "SigPnd" || name == "ShdPnd") && (parseErr != nil || bits&(1<<(sig-1)) != 0) {
				return true
			}
		}
		err = errors.Join(err, readErr)
	}
	return err != nil && !p.isOver() // a thread has ended meanwhile
}

// closeWindow enters until no window is open any more.
func (p *process) closeWindow(r *rand.Rand) {
	if p.kind.name == "activate" {
		p.ask("deactivate")
	}
	for until := time.Now().Add(patience); !p.broken.Load(); {
		if time.Now().After(until) {
			p.failWithStacks(noEnd, "windows open again and again, or stay")
			return
		}
		conn, err := dial(p.path, false)
		switch {
		case err == nil:
			c := &client{p: p, r: r, conn: conn}
			if err := c.greeted(false); err != nil && !errors.Is(err, errRefused) && !isReset(err) && !p.isExcused() {
				c.lost("the greeting", err)
			}
			conn.Close()
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED) && (p.kind.abstract || p.executed.Load()):
			return
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

// atRest is what a program is made of while nothing goes on.
type atRest struct {
	goroutines, descriptors, threads int
	sessions                         int64
}

// Threads are not counted exactly. The runtime ends none that it has once
// needed, but for those of sessions, which end with them; so there are as many
// as were needed at one time at most, and a crowd that happens to fall so can
// need one for each session and one for each command in a system call: 8 and 8
// more than those before. A session that left a thread behind would exceed that
// after 16.
const (
	threadSlack    = 16
	threadSessions = 64 // from so many on the number of threads tells something
)

// rest waits until nothing goes on in the program and counts; not before it is
// what it was before, or too much time has passed.
func (p *process) rest(before *atRest) (now *atRest) {
	r := rand.New(rand.NewPCG(p.seed, 1))
	p.note("at rest?")
	var last atRest
	for until := time.Now().Add(patience); !p.broken.Load(); time.Sleep(20 * time.Millisecond) {
		p.closeWindow(r)
		now = &atRest{sessions: p.sessions.Load()}
		answer := p.ask("count")
		if _, err := fmt.Sscan(answer, &now.goroutines, &now.descriptors, &now.threads); err != nil {
			p.fail(noEnd, "count was answered %q: %v", answer, err)
			return nil
		}
		if before == nil {
			if now.goroutines == last.goroutines && now.descriptors == last.descriptors {
				return now
			}
			last = *now
		} else if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			break
		}
		if time.Now().After(until) {
			break
		}
	}
	if before == nil || p.broken.Load() {
		return nil
	}
	p.tally.add("looked at rest", 1)
	report := fmt.Sprintf("at rest before %+v, and after %+v", *before, *now)
	switch {
	case now.goroutines > before.goroutines:
		p.failWithStacks(leakedGoroutines, "%s", report)
	case now.descriptors > before.descriptors:
		p.failWithStacks(leakedDescriptors, "%s", report)
	case now.threads > before.threads+threadSlack && now.sessions-before.sessions >= threadSessions:
		p.failWithStacks(leakedThreads, "%s", report)
	}
	return now
}
