package stack

// Collector groups goroutines one by one. Their texts have the form of runtime.Stack
// but come from elsewhere.
type Collector struct{ p listingParser }

// NewCollector returns a collector that leaves out the goroutines that exclude
// matches.
func NewCollector(exclude Exclude) *Collector {
	return &Collector{listingParser{exclude: exclude, index: make(map[uint64]int)}}
}

// Add adds one goroutine. It reports whether it is the first one of a group.
func (c *Collector) Add(text []byte) (first bool) {
	groups := len(c.p.groups)
	c.p.record(text)
	return len(c.p.groups) > groups
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
