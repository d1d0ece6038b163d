package core

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// made is a small core: program headers with their content.
func made(machine elf.Machine, programs []elf.Prog64, contents ...[]byte) []byte {
	offset := uint64(64 + 56*len(programs))
	var after []byte
	for i := range contents {
		if programs[i].Off == 0 {
			programs[i].Off, programs[i].Filesz = offset, uint64(len(contents[i]))
		}
		offset += uint64(len(contents[i]))
		after = append(after, contents[i]...)
	}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(elf.ET_CORE), Machine: uint16(machine), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: uint16(len(programs)),
	})
	_ = binary.Write(&b, binary.LittleEndian, programs)
	return append(b.Bytes(), after...)
}

func makeNote(kind uint32, content []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 5)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = append(b, "CORE\x00\x00\x00\x00"...)
	b = append(b, content...)
	return append(b, make([]byte, -len(content)&3)...)
}

func words(w ...uint64) (b []byte) {
	for _, v := range w {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// makeStatus is an elf_prstatus in which each register has its number plus 1000.
func makeStatus(tid, signal, registers int) []byte {
	b := make([]byte, 112)
	b[12] = byte(signal)
	binary.LittleEndian.PutUint32(b[32:], uint32(tid))
	for i := range registers {
		b = binary.LittleEndian.AppendUint64(b, uint64(1000+i))
	}
	return append(b, make([]byte, 8)...)
}

// sample is a core of one architecture with everything in it.
func sample(machine elf.Machine, registers int) []byte {
	info := make([]byte, 136)
	info[24] = 77
	copy(info[40:], "sample")
	copy(info[56:], "sample -a b")
	auxv := words(atPhdr, 0x1040, atEntry, 0x1100, atExecFn, 0x5080, 0, 0)
	files := words(1, 4096, 0x1000, 0x2000, 0)
	files = append(files, "/bin/sample (deleted)\x00"...)
	signal := make([]byte, 128)
	signal[0], signal[8] = 11, 1
	copy(signal[16:], words(0xdead))
	notes := slices.Concat(
		makeNote(ntPRStatus, makeStatus(77, 11, registers)), makeNote(ntPRPSInfo, info), makeNote(ntSigInfo, signal),
		makeNote(ntAuxv, auxv), makeNote(ntFile, files), makeNote(2, make([]byte, 512)), makeNote(ntPRStatus, makeStatus(78, 0, registers)),
	)
	return made(machine, []elf.Prog64{
		{Type: uint32(elf.PT_NOTE)}, {Type: uint32(elf.PT_LOAD), Vaddr: 0x5000, Memsz: 4096},
	}, notes, stackOf(auxv))
}

// stackOf is the stack of a program at 0x5000: argc, argv, a zero, one variable of the
// environment, a zero, the auxiliary vector, and the strings.
func stackOf(auxv []byte) []byte {
	stack := words(2, 0x5080, 0x5088, 0, 0x5090, 0)
	stack = append(stack, auxv...) // 64 bytes, up to 0x70
	stack = append(stack, make([]byte, 0x80-len(stack))...)
	stack = append(stack, "sample\x00\x00a b c\x00\x00\x00A=1\x00"...)
	return append(stack, make([]byte, 64)...)
}

func TestTheRegistersOfBothArchitectures(t *testing.T) {
	for machine, want := range map[elf.Machine]struct {
		arch      string
		count     int
		registers Registers
	}{
		// struct user_regs_struct: r14 is 1, rbp 4, rip 16, rsp 19
		elf.EM_X86_64: {"amd64", 27, Registers{PC: 1016, SP: 1019, BP: 1004, G: 1001}},
		// struct user_pt_regs: x28, x29, x30, sp, pc
		elf.EM_AARCH64: {"arm64", 34, Registers{PC: 1032, SP: 1031, BP: 1029, LR: 1030, G: 1028}},
	} {
		text := sample(machine, want.count)
		c, err := New(bytes.NewReader(text), int64(len(text)))
		require.NoError(t, err)
		require.Equal(t, want.arch, c.Arch)
		require.Equal(t, []Thread{{77, 11, want.registers}, {78, 0, want.registers}}, c.Threads)
		require.Equal(t, "/bin/sample", c.Executable)
		require.Equal(t, "sample", c.Name)
		require.Equal(t, 77, c.PID)
		require.Equal(t, []string{"sample", "a b c"}, c.Args)
		require.False(t, c.ArgsCut)
		require.True(t, c.Signal.Fault())
		require.False(t, c.Signal.Sent())
		require.Equal(t, uint64(0xdead), c.Signal.Addr)
		require.Empty(t, c.Remarks)
	}
}

// Where the stack is not in the core, the 79 characters of the kernel remain.
func TestTheShortCommandLine(t *testing.T) {
	text := sample(elf.EM_X86_64, 27)
	text = text[:len(text)-100]
	c, err := New(bytes.NewReader(text), int64(len(text)))
	require.NoError(t, err)
	require.Equal(t, []string{"sample", "-a", "b"}, c.Args)
	require.True(t, c.ArgsCut)
}

// TestMerge compares merge with a map of single bytes.
func TestMerge(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const size = 64
	for range 20000 {
		owner := map[uint64]int64{} // address -> the byte of the file
		add := func(n int) (list []region) {
			for range random.IntN(n + 1) {
				start := uint64(random.IntN(size))
				list = append(list, region{start: start, end: start + uint64(random.IntN(10)), offset: random.Int64N(1 << 40)})
			}
			sorted := slices.Clone(list)
			slices.SortStableFunc(sorted, func(a, b region) int { return int(a.start) - int(b.start) })
			for _, r := range sorted {
				for a := r.start; a < r.end; a++ {
					if _, ok := owner[a]; !ok {
						owner[a] = r.offset + int64(a-r.start)
					}
				}
			}
			return list
		}
		regions := merge(nil, add(6))
		regions = merge(regions, add(6))
		got := map[uint64]int64{}
		end := uint64(0)
		for _, r := range regions {
			require.LessOrEqual(t, end, r.start)
			require.Less(t, r.start, r.end)
			end = r.end
			for a := r.start; a < r.end; a++ {
				got[a] = r.offset + int64(a-r.start)
			}
		}
		require.Equal(t, owner, got)
	}
}

// Numbers that make no sense are no reason for a large allocation or a long time.
func TestHostileNumbers(t *testing.T) {
	const huge = 1<<64 - 1
	load := func(vaddr, offset, filesz, memsz uint64) elf.Prog64 {
		return elf.Prog64{Type: uint32(elf.PT_LOAD), Vaddr: vaddr, Off: offset, Filesz: filesz, Memsz: memsz}
	}
	note := func(b []byte) []byte { return made(elf.EM_X86_64, []elf.Prog64{{Type: uint32(elf.PT_NOTE)}}, b) }
	numbers := make([]elf.Prog64, 2000)
	for i := range numbers {
		numbers[i] = load(0, 1, huge, huge)
	}
	for name, text := range map[string][]byte{
		"segments over the end of memory": made(elf.EM_X86_64, []elf.Prog64{load(huge-10, 1, 100, 100), load(huge, 1, huge, huge), load(1, huge, 1, 1)}),
		"many segments of all memory":     made(elf.EM_X86_64, numbers),
		"a note of 4 GB":                  note([]byte("\x05\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00CORE\x00\x00\x00\x00")),
		"a name of 4 GB":                  note([]byte("\xff\xff\xff\xff\x00\x00\x00\x00\x01\x00\x00\x00CORE\x00\x00\x00\x00")),
		"many files":                      note(makeNote(ntFile, words(huge, huge, 1, 2, 3))),
		"files without names":             note(makeNote(ntFile, words(2, 4096, 1, 2, 3, 4, 5, 6))),
		"an entry at every address":       note(makeNote(ntAuxv, bytes.Repeat(words(atExecFn, huge), 500))),
		"a note segment of all memory":    made(elf.EM_X86_64, []elf.Prog64{{Type: uint32(elf.PT_NOTE), Off: 1, Filesz: huge}}),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c, err := New(bytes.NewReader(text), int64(len(text)))
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
			require.NoError(t, err)
			_ = c.Read(huge-20, make([]byte, 40))
			_ = c.Read(0, make([]byte, 40))
		})
	}
	var many bytes.Buffer // a number of segments in the first section header (PN_XNUM)
	many.Write(made(elf.EM_X86_64, nil))
	binary.LittleEndian.PutUint16(many.Bytes()[56:], 0xffff)
	binary.LittleEndian.PutUint64(many.Bytes()[40:], 64)
	section := make([]byte, 64)
	binary.LittleEndian.PutUint32(section[44:], 1<<31)
	many.Write(section)
	_, err := New(bytes.NewReader(many.Bytes()), int64(many.Len()))
	require.ErrorIs(t, err, ErrNotCore)
	require.ErrorContains(t, err, "it has 2147483648 segments")
}

// FuzzCore opens corrupted cores and reads where they say that memory is.
func FuzzCore(f *testing.F) {
	f.Add(sample(elf.EM_X86_64, 27))
	f.Add(sample(elf.EM_AARCH64, 34))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := New(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			return
		}
		b := make([]byte, 100)
		end := uint64(0)
		for _, r := range c.Ranges() {
			if r.Start < end || r.Start >= r.End {
				t.Fatalf("the ranges overlap: %v", c.Ranges())
			}
			end = r.End
			if err := c.Read(r.Start, b[:min(uint64(len(b)), r.End-r.Start)]); err != nil {
				t.Fatalf("a range cannot be read: %v", err)
			}
			_ = c.Read(r.End-1, b)
		}
		if len(c.Remarks) > 20 {
			t.Fatal("too many remarks")
		}
		if _, err := c.attach(io.NewSectionReader(bytes.NewReader(text), 0, int64(len(text)))); err == nil {
			_ = c.Read(0x1000, b)
		}
	})
}
