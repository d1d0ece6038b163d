package stack

// Collector groups goroutines one by one. Their texts have the form of runtime.Stack
// but come from elsewhere.
type Collector struct{ p listingParser }

// NewCollector returns a collector that leaves out the goroutines that exclude
// matches.
func NewCollector(exclude Exclude) *Collector {
	return &Collector{listingParser{exclude: exclude, index: make(map[uint64]int)}}
}

// What Add returns for a goroutine that is in no group.
const (
	Excluded = -1 // it is left out
	Unparsed = -2 // its text has an unknown form
)

// Add adds one goroutine and returns the number of its group. turns is its
// Goroutine.Turns, which is not in the text.
func (c *Collector) Add(text []byte, turns uint16) (group int) {
	if group = c.p.record(text); group >= 0 {
		members := c.p.groups[group].Members
		members[len(members)-1].Turns = turns
	}
	return group
}

// AddTo adds a goroutine that differs from another one in m and in its labels only, to
// the group of that one: a number that Add has returned. labels have the form of a
// header of runtime.Stack.
func (c *Collector) AddTo(group int, m Goroutine, labels []byte) {
	if group == Excluded {
		c.p.excluded++
		return
	}
	c.p.add(group, m, labels)
}

// Unreadable counts a goroutine that cannot be read.
func (c *Collector) Unreadable(reason string) { c.p.cannotRead([]byte(reason)) }

// Snapshot returns the groups.
func (c *Collector) Snapshot() *Snapshot {
	s := newSnapshot(c.p.groups)
	s.Excluded, s.Unread, s.Unknown = c.p.excluded, c.p.unread, c.p.unknown
	s.HasMembers = true
	return s
}
