//go:build unix

package htmlreport

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
)

// stacksDocument is what a page needs of the JSON form of the commands screen and stacks.
type stacksDocument struct {
	Schema     string          `json:"schema"`
	Process    processDocument `json:"process"`
	Vitals     *vitalsDocument `json:"vitals"`
	Searched   bool            `json:"searched"`
	Findings   []finding       `json:"findings"`
	Notes      []string        `json:"notes"`
	Total      int             `json:"total"`
	Groups     []groupDocument `json:"groups"`
	MoreGroups int             `json:"more_groups"`
}

type processDocument struct {
	Name     string  `json:"name"`
	PID      int     `json:"pid"`
	Host     string  `json:"host"`
	Uptime   float64 `json:"uptime_seconds"`
	At       string  `json:"at"`
	Module   string  `json:"module"`
	Version  string  `json:"version"`
	Revision string  `json:"revision"`
	Modified bool    `json:"modified"`
	Go       string  `json:"go"`
	OS       string  `json:"os"`
	Arch     string  `json:"arch"`
}

type frameDocument struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

type groupDocument struct {
	Count      int    `json:"count"`
	State      string `json:"state"`
	Leaked     int    `json:"leaked"`
	Least      int    `json:"waits_least_minutes"`
	Most       int    `json:"waits_most_minutes"`
	Goroutines []struct {
		ID uint64 `json:"id"`
		To uint64 `json:"to"`
	} `json:"goroutines"`
	Labels    []labelDocument `json:"labels"`
	Site      *frameDocument  `json:"site"`
	Frames    []frameDocument `json:"frames"`
	CreatedBy *frameDocument  `json:"created_by"`
}

type labelDocument struct {
	Labels string `json:"labels"`
	Count  int    `json:"count"`
}

type vitalsDocument struct {
	CPU struct {
		Busy    float64 `json:"busy"`
		Procs   int     `json:"procs"`
		User    float64 `json:"user_share"`
		GC      float64 `json:"collector_share"`
		Latency float64 `json:"latency_p99_seconds"`
		Cgroup  float64 `json:"cgroup_cpus"`
	} `json:"cpu"`
	Goroutines struct {
		Total     uint64 `json:"total"`
		Running   uint64 `json:"running"`
		Runnable  uint64 `json:"runnable"`
		Waiting   uint64 `json:"waiting"`
		InSyscall uint64 `json:"in_syscalls"`
	} `json:"goroutines"`
	Threads uint64 `json:"threads"`
	Memory  struct {
		Heap        uint64 `json:"heap_bytes"`
		InUse       uint64 `json:"in_use_bytes"`
		Limit       uint64 `json:"limit_bytes"`
		Stacks      uint64 `json:"stacks_bytes"`
		Resident    uint64 `json:"resident_bytes"`
		Peak        uint64 `json:"peak_bytes"`
		Swapped     uint64 `json:"swapped_bytes"`
		CgroupUsed  uint64 `json:"cgroup_used_bytes"`
		CgroupLimit uint64 `json:"cgroup_limit_bytes"`
	} `json:"memory"`
	Descriptors *struct {
		Open  int `json:"open"`
		Limit int `json:"limit"`
	} `json:"descriptors"`
}

// readStacks reads a part with the form of the command stacks. It returns nil if there is
// none, or if it is something else.
func readStacks(b *bundle.Bundle, name string) *stacksDocument {
	data, err := b.Part(name)
	if err != nil {
		return nil
	}
	var s stacksDocument
	if json.Unmarshal(data, &s) != nil || !strings.HasPrefix(s.Schema, "oneshot/") {
		return nil
	}
	return &s
}

// facts are the vital signs that are known.
func (v *vitalsDocument) facts() (all []fact) {
	add := func(name, format string, args ...any) { all = append(all, fact{name, fmt.Sprintf(format, args...)}) }
	cpu := fmt.Sprintf("%.2f of %d", v.CPU.Busy, v.CPU.Procs)
	if v.CPU.Cgroup > 0 {
		cpu += fmt.Sprintf(", its cgroup may use %.3g", v.CPU.Cgroup)
	}
	add("CPUs", "%s", cpu)
	if v.CPU.GC >= 0.001 {
		add("Collector", "%.1f%% of the CPU time", 100*v.CPU.GC)
	}
	if v.CPU.Latency > 0 {
		add("Wait for a CPU", "%s (p99)", duration(v.CPU.Latency))
	}
	states := ""
	for _, s := range []struct {
		n    uint64
		name string
	}{{v.Goroutines.Running, "running"}, {v.Goroutines.Runnable, "runnable"}, {v.Goroutines.Waiting, "waiting"}, {v.Goroutines.InSyscall, "in syscalls"}} {
		if s.n > 0 {
			states += fmt.Sprintf(", %d %s", s.n, s.name)
		}
	}
	if v.Goroutines.Total > 0 {
		add("Goroutines", "%d%s", v.Goroutines.Total, strings.Replace(states, ", ", ": ", 1))
	}
	if v.Threads > 0 {
		add("Threads", "%d", v.Threads)
	}
	m := v.Memory
	for _, s := range []struct {
		name     string
		n, limit uint64
	}{
		{"Heap", m.Heap, 0}, {"Memory in use", m.InUse, m.Limit}, {"Stacks", m.Stacks, 0}, {"Resident", m.Resident, 0},
		{"Peak", m.Peak, 0}, {"Swapped out", m.Swapped, 0}, {"Cgroup memory", m.CgroupUsed, m.CgroupLimit},
	} {
		switch {
		case s.n > 0 && s.limit > 0:
			add(s.name, "%s of %s", size(s.n), size(s.limit))
		case s.n > 0:
			add(s.name, "%s", size(s.n))
		}
	}
	if d := v.Descriptors; d != nil {
		if d.Limit > 0 {
			add("Descriptors", "%d of %d", d.Open, d.Limit)
		} else {
			add("Descriptors", "%d", d.Open)
		}
	}
	return all
}
