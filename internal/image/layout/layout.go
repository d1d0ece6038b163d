// Package layout says where the fields of the runtime's structs are, for each
// release of Go that the reader of goroutines knows.
//
// The tables are generated: go generate builds a program with the toolchain of
// every release, for each architecture, and reads its DWARF. A test regenerates the tables for the releases
// that the machine has and compares them.
//
// Own returns the table of the release that built the running program. A program
// that uses only Own links that one table. For knows all tables. Package fromdwarf
// makes a table for a binary of an unknown release.
//
// The package knows nothing about memory or processes.
package layout

//go:generate go run ./generate

import "strings"

// Offset is the place of a field in its struct, in bytes, or another number that
// differs between releases. It is Absent if the release does not have the field.
type Offset int16

// Absent is the offset of a field that a release does not have.
const Absent Offset = -1

// Known reports whether the release has the field.
func (o Offset) Known() bool { return o >= 0 }

// Layout is the table of a line of releases, or of a part of it: patch releases have
// changed the structs too (1.23.4, 1.23.12 and 1.24.6). It is the same for amd64 and
// arm64; the generator fails if that changes.
//
// The tags are for package fromdwarf: "type" is the name of a runtime struct,
// "field" the path of a field in it, "const" the name of a constant. A "|" separates
// the names that different releases use for the same thing.
type Layout struct {
	Release string // the line of releases: go1.26
	Patch   Offset // the first patch release that has this table: 0 for go1.26.0 and go1.26rc1

	G           G           `type:"runtime.g"`
	M           M           `type:"runtime.m"`
	Panic       Panic       `type:"runtime._panic"`
	Sudog       Sudog       `type:"runtime.sudog"`
	Hchan       Hchan       `type:"runtime.hchan"`
	Bubble      Bubble      `type:"runtime.synctestBubble"`
	SyncGroup   SyncGroup   `type:"runtime.synctestGroup"`
	ModuleData  ModuleData  `type:"runtime.moduledata"`
	TextSect    TextSect    `type:"runtime.textsect"`
	PCHeader    PCHeader    `type:"runtime.pcHeader"`
	FuncTab     FuncTab     `type:"runtime.functab"`
	Func        Func        `type:"runtime._func"`
	InlinedCall InlinedCall `type:"runtime.inlinedCall"`
	LabelMap    LabelMap    `type:"runtime.hmap"`

	Status   Status
	FuncID   FuncID
	FuncData FuncData
	Traits   Traits

	// WaitReasons are the runtime's texts for g.waitreason, in the order of their
	// numbers, each ended by a newline. Statuses are those for g.atomicstatus. See
	// WaitReason and StatusText.
	WaitReasons string
	Statuses    string
	// Idle has bit n set if goroutines that wait for reason n count as idle inside
	// a synctest bubble (runtime.isIdleInSynctest).
	Idle uint64
}

// WaitReason returns the runtime's text for a wait reason, for example "chan
// receive", as waitReason.String does. The text of reason 0 is empty.
func (l *Layout) WaitReason(n uint8) (text string, ok bool) {
	return line(l.WaitReasons, int(n))
}

// StatusText returns the runtime's text for a status without the scan bit, for
// example "runnable", as goroutineheader prints it. It is empty for the numbers
// that the release does not use.
func (l *Layout) StatusText(n uint32) (text string, ok bool) {
	if n > 1<<8 {
		return "", false
	}
	return line(l.Statuses, int(n))
}

// IdleInBubble reports whether runtime.isIdleInSynctest holds for a wait reason.
func (l *Layout) IdleInBubble(reason uint8) bool {
	return reason < 64 && l.Idle&(1<<reason) != 0
}

// line returns line n of a text in which each line ends with a newline.
func line(text string, n int) (string, bool) {
	for ; text != ""; n-- {
		l, rest, _ := strings.Cut(text, "\n")
		if n == 0 {
			return l, true
		}
		text = rest
	}
	return "", false
}
