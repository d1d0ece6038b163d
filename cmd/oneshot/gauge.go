//go:build linux && !oneshot_noproc

package main

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/watch"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// gauge measures what a condition needs to know of a process. Each source is read as
// often as its cost allows, so that the gauge needs a small part of a CPU.
type gauge struct {
	process *discovery.Process
	proc    *procfs.Process
	vitals  vitals.Another
	memory  *outsideReading // of goroutines; nil: not needed
	sources []*source
	values  watch.Values
	failed  error // why something cannot be read
}

// source is something that is read from time to time.
type source struct {
	least time.Duration // the shortest time between two readings
	next  time.Time
	read  func() error
}

// Each source may use one of so many parts of a CPU. There are at most four.
const gaugeShare = 1500

func newGauge(p *discovery.Process, c *watch.Condition) (*gauge, error) {
	g := &gauge{process: p}
	var err error
	if g.proc, err = procfs.Another(p.PID); err != nil {
		return nil, errHasEnded(p.PID)
	}
	g.vitals = vitals.Another{PID: p.PID, Process: g.proc}
	g.values.Now, g.values.Limits = make(map[watch.Metric]float64), make(map[watch.Metric]float64)
	g.sources = []*source{{least: 100 * time.Millisecond, read: g.readVitals}}
	if c.Needs(watch.Memory) {
		g.sources = append(g.sources, &source{least: 100 * time.Millisecond, read: g.readCgroup})
	}
	if c.Needs(watch.FDs) {
		g.sources = append(g.sources, &source{least: time.Second, read: g.readDescriptors})
	}
	if c.Needs(watch.Goroutines) {
		o := &outsider{Process: p, process: g.proc}
		if g.memory, err = o.read(); err != nil {
			g.proc.Close()
			return nil, err
		}
		g.sources = append(g.sources, &source{least: time.Second, read: g.readGoroutines})
	}
	return g, nil
}

func (g *gauge) close() {
	if g.memory != nil {
		g.memory.Close()
	}
	g.proc.Close()
}

// read reads the sources whose time has come. An error means that the process has ended.
func (g *gauge) read() (watch.Values, error) {
	now := time.Now()
	for _, s := range g.sources {
		if now.Before(s.next) {
			continue
		}
		before := ownCPU()
		if err := s.read(); err != nil {
			if processEnded(g.process.PID, g.process.Start) {
				return g.values, errHasEnded(g.process.PID)
			}
			g.failed = err
		}
		s.next = now.Add(max(s.least, gaugeShare*(ownCPU()-before)))
	}
	g.values.At = now
	return g.values, nil
}

// pause returns the time until the next source is to be read.
func (g *gauge) pause() time.Duration {
	next := g.sources[0].next
	for _, s := range g.sources[1:] {
		if s.next.Before(next) {
			next = s.next
		}
	}
	return max(time.Until(next), time.Millisecond)
}

// ownCPU returns the CPU time that this process has used.
func ownCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (g *gauge) readVitals() error {
	v, memory, err := g.vitals.ReadOften()
	if err == nil && processEnded(g.process.PID, g.process.Start) {
		err = errHasEnded(g.process.PID)
	}
	if err != nil {
		return err
	}
	g.values.Busy, g.values.BusyAt = v.Usage.User+v.Usage.System, v.Usage.At
	g.values.Now[watch.RSS], g.values.Now[watch.Swap] = float64(memory.Resident), float64(memory.Swapped)
	g.values.Now[watch.Threads] = float64(v.Threads)
	return nil
}

func (g *gauge) readCgroup() error {
	c := procfs.ReadCgroup(g.proc.Dir)
	if c.MemoryLimit > 0 {
		g.values.Now[watch.Memory], g.values.Limits[watch.Memory] = float64(c.MemoryUsed), float64(c.MemoryLimit)
	}
	return nil
}

func (g *gauge) readDescriptors() error {
	d, err := g.vitals.Descriptors()
	if err != nil {
		return err
	}
	g.values.Now[watch.FDs], g.values.Limits[watch.FDs] = float64(d.Open), float64(d.Limit)
	return nil
}

func (g *gauge) readGoroutines() error {
	n, err := g.memory.program.Count()
	if err != nil {
		return err
	}
	g.values.Now[watch.Goroutines] = float64(n)
	return nil
}
