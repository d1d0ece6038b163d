//go:build linux

// Package watch has the conditions of oneshot watch: their syntax, and when they hold. It
// gets what was measured, and does not know how.
package watch

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/vitals"
)

// Metric is something that can be measured.
type Metric string

// The metrics.
const (
	RSS        Metric = "rss"        // bytes in RAM
	Swap       Metric = "swap"       // bytes swapped out
	Memory     Metric = "memory"     // bytes in use in the control group with the memory limit
	CPU        Metric = "cpu"        // percent of one CPU
	Threads    Metric = "threads"    // a number
	FDs        Metric = "fds"        // open descriptors
	Goroutines Metric = "goroutines" // a number, read from the memory of the process
)

// Metrics are all metrics.
var Metrics = []Metric{RSS, Swap, Memory, CPU, Threads, FDs, Goroutines}

// Values are what was measured at one moment. What is not known is missing.
type Values struct {
	At     time.Time
	Now    map[Metric]float64
	Limits map[Metric]float64 // what 100% is: of memory and fds
	Busy   time.Duration      // the CPU time that the process had used at BusyAt
	BusyAt time.Time          // may be before At
}

// Condition is a condition over metrics. It keeps what it needs of earlier values.
type Condition struct {
	text string
	root node
	all  []*comparison
}

// node is a part of a condition.
type node interface{ holds() bool }

type and []node

func (a and) holds() bool {
	return !slices.ContainsFunc(a, func(n node) bool { return !n.holds() })
}

type or []node

func (o or) holds() bool { return slices.ContainsFunc(o, func(n node) bool { return n.holds() }) }

// comparison compares a metric with a number.
type comparison struct {
	metric    Metric
	operator  string
	value     float64
	ofLimit   bool          // value is a percentage of the limit
	duration  time.Duration // how long it must hold; of cpu: the time over which it is measured
	now       float64
	isKnown   bool
	since     time.Time // since when it is true; zero: it is not
	isLong    bool      // it is true, and has been for the duration
	readings  []reading // of cpu
	reachedBy time.Duration
}

// reading is a CPU time at one moment.
type reading struct {
	at   time.Time
	busy time.Duration
}

func (c *comparison) holds() bool { return c.isLong }

// cpuTime is the time over which the CPU use is measured if the condition names none.
const cpuTime = time.Second

// Parse parses a condition such as
//
//	rss>1.5GiB || goroutines>10000 && cpu>90%/30s
//
// && binds tighter than ||, and parentheses are possible.
func Parse(text string) (*Condition, error) {
	if len(text) > maxText {
		return nil, errors.New("the condition is too long")
	}
	p := parser{rest: text}
	c := &Condition{text: strings.TrimSpace(text)}
	var err error
	if c.root, err = p.or(); err != nil {
		return nil, err
	}
	if p.skip(); p.rest != "" {
		return nil, fmt.Errorf("%.20q: give && or || between two comparisons", p.rest)
	}
	c.all = p.all
	return c, nil
}

// Bounds of a condition.
const (
	maxText  = 4 << 10 // bytes
	maxDepth = 50
)

type parser struct {
	rest  string
	depth int
	all   []*comparison
}

func (p *parser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\n") }

// take takes a word from the rest if it begins with it.
func (p *parser) take(word string) bool {
	p.skip()
	rest, ok := strings.CutPrefix(p.rest, word)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *parser) or() (node, error) {
	var parts or
	for {
		n, err := p.and()
		if err != nil {
			return nil, err
		}
		if parts = append(parts, n); !p.take("||") {
			return parts, nil
		}
	}
}

func (p *parser) and() (node, error) {
	var parts and
	for {
		n, err := p.term()
		if err != nil {
			return nil, err
		}
		if parts = append(parts, n); !p.take("&&") {
			return parts, nil
		}
	}
}

func (p *parser) term() (node, error) {
	if !p.take("(") {
		return p.comparison()
	}
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("too many parentheses")
	}
	n, err := p.or()
	switch {
	case err != nil:
		return nil, err
	case !p.take(")"):
		return nil, errors.New("a parenthesis is not closed")
	}
	p.depth--
	return n, nil
}

func (p *parser) comparison() (node, error) {
	p.skip()
	end := strings.IndexFunc(p.rest, func(r rune) bool { return r < 'a' || r > 'z' })
	if end < 0 {
		end = len(p.rest)
	}
	c := &comparison{metric: Metric(p.rest[:end])}
	if !slices.Contains(Metrics, c.metric) {
		return nil, fmt.Errorf("%.20q is not something that is measured; that is: %s", p.rest, list())
	}
	p.rest = p.rest[end:]
	for _, operator := range []string{">=", "<=", ">", "<"} {
		if p.take(operator) {
			c.operator = operator
			break
		}
	}
	if c.operator == "" {
		return nil, fmt.Errorf("%s: give > or < and a number, such as %s", c.metric, example[c.metric])
	}
	p.skip()
	end = strings.IndexAny(p.rest, " \t\n&|)")
	if end < 0 {
		end = len(p.rest)
	}
	if err := c.parse(p.rest[:end]); err != nil {
		return nil, err
	}
	p.rest = p.rest[end:]
	p.all = append(p.all, c)
	return c, nil
}

// example has a comparison with each metric.
var example = map[Metric]string{
	RSS: "rss>1.5GiB", Swap: "swap>100MiB", Memory: "memory>90%", CPU: "cpu>90%/30s", Threads: "threads>500", FDs: "fds>80%",
	Goroutines: "goroutines>10000",
}

// list returns the names of the metrics.
func list() string {
	names := make([]string, len(Metrics))
	for i, m := range Metrics {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}

// parse parses a number with its unit and duration.
func (c *comparison) parse(text string) error {
	number, duration, hasDuration := strings.Cut(text, "/")
	wrong := fmt.Errorf("%s%s%.30q: give a number such as %s", c.metric, c.operator, text, example[c.metric])
	if hasDuration {
		d, err := time.ParseDuration(duration)
		if err != nil || d <= 0 || d > maxDuration {
			return fmt.Errorf("%s%s%.30q: give a time such as 30s, at most %v", c.metric, c.operator, text, maxDuration)
		}
		c.duration = d
	}
	factor := 1.0
	switch c.metric {
	case CPU:
		if number = strings.TrimSuffix(number, "%"); c.duration == 0 {
			c.duration = cpuTime
		}
	case RSS, Swap, Memory:
		number, factor = cutUnit(number)
	}
	if c.metric == Memory || c.metric == FDs {
		number, c.ofLimit = strings.CutSuffix(number, "%")
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || strings.ContainsAny(number, "xX_") {
		return wrong
	}
	c.value = v * factor
	return nil
}

// maxDuration is the longest time of a comparison.
const maxDuration = 24 * time.Hour

// cutUnit cuts the unit off a number of bytes.
func cutUnit(text string) (number string, factor float64) {
	for i, unit := range []string{"K", "M", "G", "T"} {
		for _, suffix := range []string{unit + "iB", unit + "B", unit + "i", unit} {
			if number, ok := strings.CutSuffix(text, suffix); ok {
				base := 1024.0
				if suffix == unit+"B" {
					base = 1000
				}
				return number, math.Pow(base, float64(i+1))
			}
		}
	}
	return strings.TrimSuffix(text, "B"), 1
}

// String returns the condition as it was given.
func (c *Condition) String() string { return c.text }

// Needs reports whether the condition has a comparison with a metric.
func (c *Condition) Needs(m Metric) bool {
	return slices.ContainsFunc(c.all, func(x *comparison) bool { return x.metric == m })
}

// Unknown returns the metrics of the condition that are not known, or of which the limit
// is not known.
func (c *Condition) Unknown() (names []string) {
	for _, x := range c.all {
		name := string(x.metric)
		if x.ofLimit {
			name = "the limit of " + name
		}
		if !x.isKnown && x.metric != CPU && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Holds adds what was measured, and reports whether the condition holds now.
func (c *Condition) Holds(v Values) bool {
	for _, x := range c.all {
		x.add(v)
	}
	return c.root.holds()
}

// Describe returns what the comparisons that hold have seen last.
func (c *Condition) Describe() string {
	var parts []string
	for _, x := range c.all {
		if !x.isLong {
			continue
		}
		text := strconv.FormatFloat(x.now, 'f', -1, 64)
		switch {
		case x.metric == CPU:
			text = fmt.Sprintf("%.0f%% of a CPU over %v", x.now, x.reachedBy.Round(time.Second/10))
		case x.ofLimit:
			text = fmt.Sprintf("%.0f%% of its limit", x.now)
		case x.metric == RSS, x.metric == Swap, x.metric == Memory:
			text = vitals.Bytes(uint64(x.now))
		}
		if part := string(x.metric) + " is " + text; !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// add adds what was measured.
func (c *comparison) add(v Values) {
	if c.metric == CPU {
		c.addCPU(v)
		return
	}
	value, ok := v.Now[c.metric]
	limit := v.Limits[c.metric]
	if c.isKnown = ok && (!c.ofLimit || limit > 0); !c.isKnown {
		c.since, c.isLong = time.Time{}, false
		return
	}
	if c.ofLimit {
		value = 100 * value / limit
	}
	c.now = value
	switch {
	case !c.isTrue():
		c.since, c.isLong = time.Time{}, false
		return
	case c.since.IsZero():
		c.since = v.At
	}
	c.isLong = v.At.Sub(c.since) >= c.duration
}

func (c *comparison) isTrue() bool {
	switch c.operator {
	case ">":
		return c.now > c.value
	case ">=":
		return c.now >= c.value
	case "<":
		return c.now < c.value
	}
	return c.now <= c.value
}

// maxReadings is how many CPU times are kept; of a long time there are fewer of each
// second.
const maxReadings = 120

// addCPU measures the CPU use over the duration of the comparison.
func (c *comparison) addCPU(v Values) {
	if v.BusyAt.IsZero() { // it was never read
		return
	}
	if n := len(c.readings); n == 0 || v.BusyAt.Sub(c.readings[n-1].at) >= max(c.duration/maxReadings, 1) {
		c.readings = append(c.readings, reading{v.BusyAt, v.Busy})
	}
	// The last one that is at least so old as the duration is the beginning.
	for len(c.readings) > 1 && v.BusyAt.Sub(c.readings[1].at) >= c.duration {
		c.readings = c.readings[1:]
	}
	first := c.readings[0]
	wall := v.BusyAt.Sub(first.at)
	if wall < c.duration || wall <= 0 {
		c.isLong = false
		return
	}
	c.now, c.reachedBy = 100*float64(v.Busy-first.busy)/float64(wall), wall
	c.isLong = c.isTrue()
}
