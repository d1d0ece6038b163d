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

	"github.com/gomanhole/oneshot/internal/protocol"
)

// worker starts one program after another, until ctx ends.
func (s *stress) worker(ctx context.Context, number int) {
	var left *place // the place of the last program, if it left a dead socket there
	for i := 0; ctx.Err() == nil; i++ {
		seed := uint64(number)<<32 | uint64(i)
		r := rand.New(rand.NewPCG(s.seed, seed))
		k := s.choice[r.IntN(len(s.choice))]
		at := left
		if at == nil || k.abstract {
			if at != nil {
				_ = os.RemoveAll(at.dir) // and the socket in it
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
		at.pattern = protocol.DefaultSocketPath
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

// brief ends a program just when something begins.
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

// middling does a few things with a program, and ends it either at rest or while a
// crowd of clients is in it.
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

// long does many things with a program. At rest, the program must have the same
// goroutines, descriptors and threads as before.
func (p *process) long(ctx context.Context, r *rand.Rand) *place {
	p.visit(r, true)
	p.crowd(r) // after it, the program has about as many threads as it will need
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

// act does one thing and waits for its end.
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

// crowd starts clients that come at the same time. Some of them do not get in at
// once.
func (p *process) crowd(r *rand.Rand) {
	n := 2 + r.IntN(5)
	if r.IntN(5) == 0 {
		n = 14 // more than the limit of sessions
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
	// A client that is accepted now is the only one that waits.
	if !p.ending.Load() {
		if c := p.enter(r, false, false); c != nil {
			c.conn.Close()
			p.sure = true
		}
	}
}

// again makes the program execute itself in place, mostly with an open window.
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
	// A pending signal would kill the new image before its runtime handles signals.
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

// isPending reports whether the kernel has a signal for the program that no thread
// has taken yet (ShdPnd and SigPnd in proc_pid_status(5)).
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
	return err != nil && !p.isOver() // a thread has ended during the reading
}

// closeWindow enters windows until no window is open.
func (p *process) closeWindow(r *rand.Rand) {
	if p.kind.name == "activate" {
		p.ask("deactivate")
	}
	for until := time.Now().Add(patience); !p.broken.Load(); {
		if time.Now().After(until) {
			p.failWithStacks(noEnd, "windows stay open, or open again and again")
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

// atRest counts what a program has while it does nothing.
type atRest struct {
	goroutines, descriptors, threads int
	sessions                         int64
}

// The number of threads is not exact. The runtime keeps every thread that it once
// needed; only the thread of a session ends with the session. So the number is the
// most that were needed at one time. A crowd may happen to need a thread for each
// session and one for each command in a system call: 8 and 8 more than before. If
// each session left a thread behind, the number would exceed this after 16 sessions.
const (
	threadSlack    = 16
	threadSessions = 64 // after this number of sessions, a leak of threads shows
)

// rest waits until the program does nothing, and counts what it has. It repeats that
// until the numbers are as small as before, or too much time has passed.
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
