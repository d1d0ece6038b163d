//go:build linux

package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

const folder = "oneshot-server-web1-4321-20260102T150405Z"

var moment = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// written returns a bundle, and its length after each part.
func written(t *testing.T, parts [][2]string, m *Manifest) (archive []byte, lengths []int) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, folder)
	require.NoError(t, err)
	for _, p := range parts {
		require.NoError(t, w.Add(p[0], moment, strings.NewReader(p[1]), int64(len(p[1]))))
		lengths = append(lengths, out.Len())
	}
	if m != nil {
		require.NoError(t, w.Close(m))
	}
	return out.Bytes(), lengths
}

var someParts = [][2]string{
	{"screen.txt", "the first screen\n"}, {"profiles/heap.pb.gz", strings.Repeat("heap", 1000)},
	{"sections/empty", ""}, {"sections/größe\nof a cache", "\x1b\x00\xff"}, {"trace", strings.Repeat("x", 100_000)},
}

func TestABundleIsReadBack(t *testing.T) {
	archive, _ := written(t, someParts, &Manifest{PID: 4321, End: Complete, Ended: moment,
		Parts: []Part{{Name: "screen.txt", Bytes: 17, Stopped: &Stops{Count: 2, Longest: 1e-5, Total: 2e-5}}}})
	b, err := Read(bytes.NewReader(archive))
	require.NoError(t, err)
	require.NoError(t, b.Truncated)
	require.Equal(t, folder, b.Name)
	require.Equal(t, []string{"screen.txt", "profiles/heap.pb.gz", "sections/empty", "sections/größe\nof a cache", "trace", ManifestName}, b.Names())
	for _, p := range someParts {
		data, err := b.Part(p[0])
		require.NoError(t, err)
		require.Equal(t, p[1], string(data))
	}
	_, err = b.Part("stacks.txt")
	require.ErrorIs(t, err, ErrNoPart)
	require.Equal(t, 4321, b.Manifest.PID)
	require.Equal(t, uint64(2), b.Manifest.Parts[0].Stopped.Count)
	require.Nil(t, b.Manifest.Stopped)
}

// TestABundleThatWasCutOffAnywhereOpens cuts a bundle off at many places. It has the parts
// that were whole by then. Between two parts, nothing is wrong with it.
func TestABundleThatWasCutOffAnywhereOpens(t *testing.T) {
	archive, lengths := written(t, someParts, &Manifest{})
	require.Greater(t, len(archive), lengths[len(lengths)-1])
	places := slices.Clone(lengths)
	for n := lengths[0]; n < len(archive); n += 17 {
		places = append(places, n)
	}
	for _, n := range places {
		b, err := Read(bytes.NewReader(archive[:n]))
		require.NoError(t, err, n)
		whole := 0
		between := false
		for _, length := range lengths {
			if length <= n {
				whole++
			}
			between = between || length == n
		}
		names := b.Names()
		require.GreaterOrEqual(t, len(names), whole, n)
		for i, name := range names[:whole] {
			data, err := b.Part(name)
			require.NoError(t, err)
			require.Equal(t, someParts[i][1], string(data))
		}
		if between {
			require.NoError(t, b.Truncated)
			require.Nil(t, b.Manifest)
		}
	}
}

// TestTarOpensABundle has the tar of the system list whole bundles and such that end after
// some part.
func TestTarOpensABundle(t *testing.T) {
	archive, lengths := written(t, someParts, &Manifest{})
	for i, n := range append(lengths, len(archive)) {
		file := filepath.Join(t.TempDir(), "b.tar.gz")
		require.NoError(t, os.WriteFile(file, archive[:n], 0o600))
		out, err := testwait.Command(t, "tar", "tzf", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, min(i+1, len(someParts)+1), strings.Count(string(out), folder+"/"), "%s", out)
	}
}

// packed returns an archive with these headers, which no Writer would write.
func packed(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write(make([]byte, h.Size))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return out.Bytes()
}

func TestWhatIsNoBundle(t *testing.T) {
	for _, c := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"text", []byte("hello, this is no archive at all"), "compressed with gzip"},
		{"nothing in it", packed(t), "is empty"},
		{"outside of the folder", packed(t, &tar.Header{Name: "a/../../etc/passwd"}), "not a file below one folder"},
		{"from the root", packed(t, &tar.Header{Name: "/etc/passwd"}), "not a file below one folder"},
		{"without a folder", packed(t, &tar.Header{Name: "passwd"}), "not a file below one folder"},
		{"two folders", packed(t, &tar.Header{Name: "a/x"}, &tar.Header{Name: "b/x"}), "two folders"},
		{"a part twice", packed(t, &tar.Header{Name: "a/x"}, &tar.Header{Name: "a/x"}), "two parts"},
		{"a link", packed(t, &tar.Header{Name: "a/x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "not a regular file"},
		{"a long name", packed(t, &tar.Header{Name: "a/" + strings.Repeat("x", 1000)}), "not a file below one folder"},
		{"no manifest", packed(t, &tar.Header{Name: "a/manifest.json", Size: 2}), "manifest.json: invalid"},
	} {
		_, err := Read(bytes.NewReader(c.archive))
		require.ErrorContains(t, err, c.want, c.name)
	}
	var out bytes.Buffer
	_, err := NewWriter(&out, "../x")
	require.Error(t, err)
	w, err := NewWriter(&out, "x")
	require.NoError(t, err)
	require.Error(t, w.Add("a/../../x", moment, strings.NewReader(""), 0))
	require.Zero(t, out.Len())
}

// TestABundleOfZerosIsBounded reads an archive that is small and would unpack to much more
// than may be kept.
func TestABundleOfZerosIsBounded(t *testing.T) {
	b, err := Read(bytes.NewReader(packed(t, &tar.Header{Name: "a/huge", Size: MaxPart + 1}, &tar.Header{Name: "a/x", Size: 5})))
	require.NoError(t, err)
	require.Equal(t, []string{"huge", "x"}, b.Names())
	_, err = b.Part("huge")
	require.ErrorContains(t, err, "too large")
	data, err := b.Part("x")
	require.NoError(t, err)
	require.Len(t, data, 5)

	r := &bounded{strings.NewReader("123456"), 4}
	text := make([]byte, 10)
	n, err := r.Read(text)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	_, err = r.Read(text)
	require.ErrorContains(t, err, "it has more than")
}

func TestOpenTakesRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	archive, _ := written(t, someParts, nil)
	file := filepath.Join(dir, "b.tar.gz")
	require.NoError(t, os.WriteFile(file, archive, 0o600))
	b, err := Open(file)
	require.NoError(t, err)
	require.Len(t, b.Names(), len(someParts))
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{dir, pipe} {
		_, err := Open(path)
		require.ErrorContains(t, err, "not a regular file")
	}
	_, err = Open(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzRead(f *testing.F) {
	var out bytes.Buffer
	w, _ := NewWriter(&out, folder)
	_ = w.Add("screen.txt", moment, strings.NewReader("x"), 1)
	_ = w.Close(&Manifest{})
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, name := range b.Names() {
			if !isName(name) {
				t.Errorf("part %q", name)
			}
		}
	})
}
