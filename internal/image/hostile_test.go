//go:build linux && (amd64 || arm64)

package image_test

import (
	"debug/elf"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/image/core"
	"github.com/gomanhole/oneshot/internal/image/core/coretest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// corrupted is a memory in which some words are others: always the same ones for the
// same seed.
type corrupted struct {
	memory image.Memory
	seed   uint64
	one    uint64 // one of so many words is corrupted; 0: none
}

func (c *corrupted) Read(addr uint64, b []byte) error {
	if err := c.memory.Read(addr, b); err != nil || c.one == 0 {
		return err
	}
	for i := int(-addr & 7); i+8 <= len(b); i += 8 {
		random := rand.New(rand.NewPCG(c.seed, addr+uint64(i)))
		if random.Uint64N(c.one) != 0 {
			continue
		}
		word := b[i:][:8]
		value := binary.LittleEndian.Uint64(word)
		switch random.IntN(6) {
		case 0:
			value = 0
		case 1:
			value = 1<<64 - 1
		case 2:
			value = random.Uint64()
		case 3:
			value = 1 << random.IntN(64)
		case 4:
			value += 8 * random.Uint64N(64)
		case 5:
			value -= 8 * random.Uint64N(64)
		}
		binary.LittleEndian.PutUint64(word, value)
	}
	return nil
}

// opener opens a program with another memory or another file than its own. If it is alive,
// the registers of its threads are not known, as with a program that runs.
type opener func(m image.Memory, file io.ReaderAt, alive bool) (*image.Program, error)

// takeCore takes a core of the program of parked_test.go.
func takeCore(t testing.TB) (c *core.Core, open opener) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	cmd := testwait.Command(t, self)
	cmd.Env = append(os.Environ(), listingEnv+"="+filepath.Join(dir, "listing"))
	child := testwait.Start(t, cmd, "ready")
	path := filepath.Join(dir, "core")
	coretest.Write(t, child.Process.Pid, path)
	child.Stop()
	c, err = core.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	whole, err := c.Attach(self)
	require.NoError(t, err)
	return c, func(m image.Memory, file io.ReaderAt, alive bool) (*image.Program, error) {
		e := whole
		if file != c.File() {
			if e, err = elf.NewFile(file); err != nil {
				return nil, err
			}
		}
		var threads []image.Registers
		for _, thread := range c.Threads {
			r := thread.Registers
			threads = append(threads, image.Registers{TID: thread.TID, PC: r.PC, SP: r.SP, BP: r.BP, LR: r.LR})
		}
		if alive {
			threads = nil
		}
		return image.Open(m, e, file, c.Bias(whole), threads)
	}
}

// TestCorruptedMemories reads a hundred corrupted memories, or fewer with the race detector. Each ends in an error or in
// a dump, soon and without much memory.
func TestCorruptedMemories(t *testing.T) {
	c, open := takeCore(t)
	clean, err := open(c, c.File(), false)
	require.NoError(t, err)
	whole, err := clean.Snapshot(nothing)
	require.NoError(t, err)
	memories := uint64(100)
	if testwait.RaceDetector { // with which each takes ten times as long
		memories = 12
	}
	dumps, failed, different := 0, 0, 0
	for seed := range memories {
		m := &corrupted{memory: c, seed: seed, one: []uint64{5, 50, 500, 5000}[seed%4]}
		if seed%3 > 0 { // the tables are right: the corruption is in goroutines and stacks
			m.one = 0
		}
		bounded(t, func() {
			p, err := open(m, c.File(), seed%2 == 1)
			if err == nil {
				m.one = []uint64{5, 50, 500, 5000}[seed%4]
				s, snapshotErr := p.Snapshot(nothing)
				if err = snapshotErr; err == nil {
					dumps++
					if s.Total != whole.Total || len(s.Groups) != len(whole.Groups) {
						different++
					}
				}
			}
			if err != nil {
				failed++
			}
		}, "the reading of memory %d", seed)
	}
	t.Logf("%d dumps, of which %d differ, and %d errors", dumps, different, failed)
	require.Positive(t, dumps)
	require.Positive(t, different, "the corruption has had an effect")
	require.Positive(t, failed)
}

// bounded calls f and fails if it takes long or much memory.
func bounded(t *testing.T, f func(), what string, args ...any) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	testwait.Receive(t, done, what, args...)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<30), append([]any{what}, args...)...)
	require.Less(t, after.Sys, uint64(1<<30), append([]any{what}, args...)...)
}

// batched is a memory that reads many pieces at once, as that of a process does.
type batched struct{ image.Memory }

func (b batched) ReadPieces(pieces []image.Piece) {
	for i := range pieces {
		pieces[i].Err = b.Read(pieces[i].Addr, pieces[i].Bytes)
	}
}

// TestAHundredCorruptionsOfWhatIsRead changes a hundred random words of what a reading
// uses, again and again: structs of goroutines and threads, stacks, labels, the list of
// goroutines, the runtime's tables in the memory and in the file.
func TestAHundredCorruptionsOfWhatIsRead(t *testing.T) {
	c, open := takeCore(t)
	clean, err := open(c, c.File(), false)
	require.NoError(t, err)
	places := clean.Places()
	require.Greater(t, len(places), 100)
	whole, err := clean.Snapshot(nothing)
	require.NoError(t, err)
	tables := tablesOf(t, c.File())
	rounds := uint64(150)
	if testwait.RaceDetector { // with which each takes ten times as long
		rounds = 15
	}
	dumps, different, failed := 0, 0, 0
	for seed := range rounds {
		random := rand.New(rand.NewPCG(seed, 1))
		m, file := &patched{c, map[uint64]byte{}}, &patchedFile{c.File(), map[uint64]byte{}}
		for range 100 {
			bytes, at := m.bytes, places[random.IntN(len(places))]+8*random.Uint64N(60)
			switch seed % 3 {
			case 0: // only goroutines and their stacks: the tables are right
				at = places[4+random.IntN(len(places)-4)] + 8*random.Uint64N(60)
			case 1:
				if random.IntN(2) == 0 {
					bytes, at = file.bytes, tables.Offset+random.Uint64N(tables.Size)
				}
			}
			value := []uint64{0, 1<<64 - 1, random.Uint64(), 1 << random.IntN(64), places[random.IntN(len(places))]}[random.IntN(5)]
			for i := range uint64(8) {
				bytes[at+i] = byte(value >> (8 * i))
			}
		}
		bounded(t, func() {
			p, err := open(batched{m}, file, seed%2 == 1)
			if err != nil {
				failed++
				return
			}
			s, err := p.Snapshot(nothing)
			if err != nil {
				failed++
				return
			}
			if dumps++; s.Total != whole.Total || len(s.Groups) != len(whole.Groups) {
				different++
			}
			_, _, _ = p.Ran(image.Registers{SP: places[random.IntN(len(places))]})
		}, "the reading of memory %d", seed)
	}
	t.Logf("%d dumps, of which %d differ, and %d errors", dumps, different, failed)
	require.Greater(t, dumps, int(rounds)/10)
	require.Greater(t, different, int(rounds)/10, "the corruption has had an effect")
}

// tablesOf returns the section of the runtime's tables in a program's file.
func tablesOf(t testing.TB, file io.ReaderAt) *elf.Section {
	t.Helper()
	e, err := elf.NewFile(file)
	require.NoError(t, err)
	for _, s := range e.Sections {
		if strings.HasSuffix(s.Name, ".gopclntab") {
			return s
		}
	}
	require.Fail(t, "no .gopclntab")
	return nil
}

// patched is a memory with some bytes changed.
type patched struct {
	image.Memory
	bytes map[uint64]byte
}

func (p *patched) Read(addr uint64, b []byte) error {
	if err := p.Memory.Read(addr, b); err != nil {
		return err
	}
	patch(p.bytes, addr, b)
	return nil
}

// patchedFile is a file with some bytes changed.
type patchedFile struct {
	io.ReaderAt
	bytes map[uint64]byte
}

func (p *patchedFile) ReadAt(b []byte, offset int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, offset)
	patch(p.bytes, uint64(offset), b[:n])
	return n, err
}

// patch changes the bytes of b, which begins at addr.
func patch(bytes map[uint64]byte, addr uint64, b []byte) {
	for at, v := range bytes {
		if at-addr < uint64(len(b)) {
			b[at-addr] = v
		}
	}
}

// FuzzImage reads a memory and a file with changed words. Each 5 bytes of the input are
// a place in the memory that the program can write or in its file, and what is written
// there.
func FuzzImage(f *testing.F) {
	c, open := takeCore(f)
	program, err := open(c, c.File(), false)
	require.NoError(f, err)
	places := program.Places()
	require.NotEmpty(f, places)
	tables := tablesOf(f, c.File())
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 16, 255, 255, 2, 0, 64, 1, 128})
	f.Add([]byte{0, 0, 0, 255, 255, 3, 0, 11, 255, 0, 3, 0, 88, 1, 1}) // the list of goroutines, the places of the tables
	f.Add([]byte{0, 128, 0, 1, 0, 255, 255, 255, 255, 0})              // the file
	f.Fuzz(func(t *testing.T, script []byte) {
		alive := len(script)%2 == 1
		m, file := &patched{c, map[uint64]byte{}}, &patchedFile{c.File(), map[uint64]byte{}}
		for ; len(script) >= 5 && len(m.bytes)+len(file.bytes) < 1000; script = script[5:] {
			n := int(binary.LittleEndian.Uint16(script))
			to, place := m.bytes, places[n%len(places)]+uint64(script[2])*2
			switch {
			case n >= 1<<15+1<<14: // the headers of the file
				to, place = file.bytes, uint64(n%512)
			case n >= 1<<15:
				to, place = file.bytes, tables.Offset+(uint64(n)<<8+uint64(script[2]))*8%tables.Size
			}
			for i := range uint64(8) {
				to[place+i] = script[3+i%2]
			}
		}
		p, err := open(batched{m}, file, alive)
		if err != nil {
			return
		}
		_, _ = p.Snapshot(nothing)
	})
}
