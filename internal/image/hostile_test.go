//go:build linux && (amd64 || arm64)

package image_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

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

// takeCore takes a core of the program of parked_test.go.
func takeCore(t testing.TB) (c *core.Core, open func(image.Memory) (*image.Program, error)) {
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
	e, err := c.Attach(self)
	require.NoError(t, err)
	return c, func(m image.Memory) (*image.Program, error) {
		r := c.Threads[0].Registers
		return image.Open(m, e, c.File(), c.Bias(e), []image.Registers{{TID: c.Threads[0].TID, PC: r.PC, SP: r.SP, BP: r.BP, LR: r.LR}})
	}
}

// TestCorruptedMemories reads a hundred corrupted memories, or fewer with the race detector. Each ends in an error or in
// a dump, soon and without much memory.
func TestCorruptedMemories(t *testing.T) {
	c, open := takeCore(t)
	clean, err := open(c)
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
		began := time.Now()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := open(m)
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
		runtime.ReadMemStats(&after)
		require.Less(t, time.Since(began), testwait.Patience, "seed %d", seed)
		require.Less(t, after.Sys, uint64(1<<30), "seed %d", seed)
	}
	t.Logf("%d dumps, of which %d differ, and %d errors", dumps, different, failed)
	require.Positive(t, dumps)
	require.Positive(t, different, "the corruption has had an effect")
	require.Positive(t, failed)
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
	for at, v := range p.bytes {
		if at >= addr && at-addr < uint64(len(b)) {
			b[at-addr] = v
		}
	}
	return nil
}

// FuzzImage reads a memory with changed words. Each 5 bytes of the input are the place
// of a word in the memory that the program can write, and what is written there.
func FuzzImage(f *testing.F) {
	c, open := takeCore(f)
	program, err := open(c)
	require.NoError(f, err)
	places := program.Places()
	require.NotEmpty(f, places)
	f.Add([]byte{0, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 16, 255, 255, 2, 0, 64, 1, 128})
	f.Fuzz(func(t *testing.T, script []byte) {
		m := &patched{c, map[uint64]byte{}}
		for ; len(script) >= 5 && len(m.bytes) < 1000; script = script[5:] {
			place := places[int(binary.LittleEndian.Uint16(script))%len(places)] + uint64(script[2])*2
			for i := range uint64(8) {
				m.bytes[place+i] = script[3+i%2]
			}
		}
		p, err := open(m)
		if err != nil {
			return
		}
		_, _ = p.Snapshot(nothing)
	})
}
