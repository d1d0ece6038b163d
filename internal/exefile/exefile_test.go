package exefile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// forged builds a small ELF file for linux/amd64.
type forged struct {
	sections int    // how many sections there are
	claims   uint16 // how many the header claims; 0: as many as there are
	programs uint16 // how many segments the header claims
	names    []byte // of the sections; each has the name at 1
	version  uint64 // the length of the Go version in the build information
	sparse   int    // bytes behind the file's tables that can be read
}

func (f forged) file() []byte {
	const headers, size = 64, 64
	blobAt := headers + 64 // build information is aligned to 16 bytes
	namesAt := blobAt + 64
	sectionsAt := namesAt + len(f.names)
	var b bytes.Buffer
	word := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	b.WriteString(elf.ELFMAG + "\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	claims := f.claims
	if claims == 0 {
		claims = uint16(f.sections)
	}
	for _, v := range []any{uint16(elf.ET_EXEC), uint16(elf.EM_X86_64), uint32(1), uint64(0), uint64(headers), uint64(sectionsAt), uint32(0),
		uint16(64), uint16(56), max(f.programs, 1), uint16(size), claims, uint16(1)} {
		word(v)
	}
	all := uint64(sectionsAt + f.sections*size + f.sparse)
	for _, v := range []any{uint32(elf.PT_LOAD), uint32(elf.PF_R | elf.PF_W), uint64(0), uint64(0x1000), uint64(0), all, all, uint64(0x1000)} {
		word(v)
	}
	b.Write(make([]byte, blobAt-b.Len()))
	b.WriteString("\xff Go buildinf:\x08\x02")
	b.Write(make([]byte, 16))
	b.Write(binary.AppendUvarint(nil, f.version))
	b.Write(make([]byte, namesAt-b.Len()))
	b.Write(f.names)
	for i := range f.sections {
		name, kind, at, n := uint32(1), elf.SHT_PROGBITS, uint64(blobAt), uint64(32)
		switch i {
		case 0: // it is never used
			name, kind = 0, elf.SHT_NULL
		case 1: // the names
			name, kind, at, n = 0, elf.SHT_STRTAB, uint64(namesAt), uint64(len(f.names))
		}
		for _, v := range []any{name, uint32(kind), uint64(0), 0x1000 + at, at, n, uint32(0), uint32(0), uint64(16), uint64(0)} {
			word(v)
		}
	}
	b.Write(bytes.Repeat([]byte{'v'}, f.sparse))
	return b.Bytes()
}

func names(text string) []byte { return []byte("\x00" + text + "\x00") }

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A file that is made to use up memory costs a few MiB.
func TestForgedFilesCostLittle(t *testing.T) {
	for name, f := range map[string]forged{
		"a version of 32 MiB":          {sections: 3, names: names(".go.buildinfo"), version: 32 << 20, sparse: 33 << 20},
		"a version of 2^62 bytes":      {sections: 3, names: names(".go.buildinfo"), version: 1 << 62},
		"65,000 sections":              {sections: 65_000, names: names("a")},
		"claims 65,000 sections":       {sections: 2, claims: 65_000, names: names("a")},
		"claims 65,000 segments":       {sections: 2, programs: 65_000, names: names("a")},
		"500 names of a MiB":           {sections: 500, names: names(string(bytes.Repeat([]byte{'n'}, 1<<20)))},
		"a section header in the void": {claims: 3, names: names("a")},
	} {
		file := f.file()
		used := allocated(func() {
			_, err := BuildInfo(bytes.NewReader(file))
			require.Error(t, err, name)
			_, _ = Open(bytes.NewReader(file))
		})
		require.Less(t, used, uint64(24<<20), name)
	}
	_, err := BuildInfo(bytes.NewReader(forged{sections: 3, names: names(".go.buildinfo"), version: 32 << 20, sparse: 33 << 20}.file()))
	require.ErrorIs(t, err, ErrBounds)
	require.ErrorContains(t, err, "more than 4 MiB")
	_, err = Open(bytes.NewReader(forged{sections: 65_000, names: names("a")}.file()))
	require.ErrorIs(t, err, ErrBounds)
}

// The forged files are refused for what is wrong with them, and for nothing else.
func TestAFileLikeTheForgedOnesIsRead(t *testing.T) {
	file := forged{sections: 3, names: names(".go.buildinfo"), version: 100, sparse: 1000}.file()
	info, err := BuildInfo(bytes.NewReader(file))
	require.NoError(t, err)
	require.Len(t, info.GoVersion, 100)
	opened, err := Open(bytes.NewReader(file))
	require.NoError(t, err)
	require.Equal(t, ".go.buildinfo", opened.Sections[2].Name)
}

func TestThisProgram(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("its executables are of another format")
	}
	f, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer f.Close()
	info, err := BuildInfo(f)
	require.NoError(t, err)
	own, ok := debug.ReadBuildInfo()
	require.True(t, ok)
	require.Equal(t, own.String(), info.String())
	file, err := Open(f)
	require.NoError(t, err)
	text, err := file.Section(".text").Data() // after the opening there is no bound
	require.NoError(t, err)
	require.NotEmpty(t, text)
}

// A file that changes after it was checked is read as it was.
func TestAFileThatChangesWhileItIsRead(t *testing.T) {
	honest := forged{sections: 3, names: names("a")}.file()
	f := &changing{first: honest, later: forged{sections: 500, names: names(string(bytes.Repeat([]byte{'n'}, 1<<20)))}.file()}
	opened, err := Open(f)
	require.NoError(t, err)
	require.Len(t, opened.Sections, 3)
}

// changing is a file whose first page is another after it has been read once.
type changing struct {
	first, later []byte
	reads        int
}

func (c *changing) ReadAt(p []byte, off int64) (int, error) {
	if c.reads++; c.reads == 1 {
		return bytes.NewReader(c.first).ReadAt(p, off)
	}
	return bytes.NewReader(c.later).ReadAt(p, off)
}

func TestNoExecutable(t *testing.T) {
	for _, text := range []string{"", "short", string(make([]byte, 100)), elf.ELFMAG + string(make([]byte, 100))} {
		_, err := BuildInfo(bytes.NewReader([]byte(text)))
		require.Error(t, err)
		_, err = Open(bytes.NewReader([]byte(text)))
		require.Error(t, err)
	}
	broken := errors.New("broken")
	_, err := Open(brokenFile{broken})
	require.ErrorIs(t, err, broken)
	_, err = BuildInfo(io.NewSectionReader(brokenFile{broken}, 0, 1000))
	require.ErrorIs(t, err, broken)
}

type brokenFile struct{ err error }

func (f brokenFile) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func FuzzExecutables(f *testing.F) {
	f.Add(forged{sections: 3, names: names(".go.buildinfo"), version: 100, sparse: 200}.file())
	f.Add(forged{sections: 500, names: names("a")}.file())
	f.Fuzz(func(t *testing.T, text []byte) {
		used := allocated(func() {
			_, _ = BuildInfo(bytes.NewReader(text))
			_, _ = Open(bytes.NewReader(text))
		})
		require.Less(t, used, uint64(128<<20))
	})
}
