package values

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

var shorter = strings.NewReplacer("interface {}", "any", "[]uint8", "[]byte")

func typeName(t reflect.Type) string {
	name := withoutPaths(shorter.Replace(t.String()))
	if len(name) > maxType {
		name = plaintext.Cut(name, maxType) + "..."
	}
	return name
}

// withoutPaths shortens each import path in a type's name to its last element.
// Only the arguments of a generic type have full import paths.
func withoutPaths(name string) string {
	if !strings.Contains(name, "/") || strings.Contains(name, `"`) { // the tag of a field may contain anything
		return name
	}
	var short []byte
	word := 0
	for i := range len(name) {
		if name[i] == '/' {
			short = short[:word]
			continue
		}
		short = append(short, name[i])
		if strings.IndexByte("[]*(){},; ", name[i]) >= 0 {
			word = len(short)
		}
	}
	return string(short)
}

// bounded returns f of the first n bytes of s, and the number of bytes left out.
func bounded(s string, n int, f func(string) string) string {
	c := plaintext.Cut(s, n)
	if len(c) == len(s) {
		return f(s)
	}
	return f(c) + "... " + comma(len(s)-len(c)) + " bytes more"
}

func quoted(s string) string { return bounded(s, maxString, strconv.Quote) }

// plain returns s without quotes, if all of s is printable text.
func plain(s string) string {
	return bounded(s, maxString, func(s string) string {
		if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
			return strconv.Quote(s)
		}
		return s
	})
}

// comma formats n with a comma before each group of three digits.
func comma(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesText returns the bytes of a slice or array: quoted if they look like text,
// else in hexadecimal.
func bytesText(v reflect.Value) string {
	var b strings.Builder
	// Read one byte at a time: Bytes panics for an array without an address.
	for i := range min(v.Len(), maxString) {
		b.WriteByte(byte(v.Index(i).Uint()))
	}
	s, more := b.String(), ""
	if v.Len() > len(s) {
		s = s[:len(s)-halfRune(s)]
	}
	text := looksLikeText(s)
	if !text {
		s = s[:min(len(s), maxHex)]
	}
	if n := v.Len() - len(s); n > 0 {
		more = "... " + comma(n) + " bytes more"
	}
	if text {
		return strconv.Quote(s) + more
	}
	return comma(v.Len()) + " bytes: " + hex.EncodeToString([]byte(s)) + more
}

// halfRune returns the number of bytes at the end of s that are the beginning of
// an incomplete rune.
func halfRune(s string) int {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if tail := s[len(s)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRuneInString(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// looksLikeText reports whether at least nine of ten runes are printable.
func looksLikeText(s string) bool {
	var all, odd int
	for i, r := range s {
		all++
		invalid := r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError))
		if invalid || !strconv.IsPrint(r) && !unicode.IsSpace(r) {
			odd++
		}
	}
	return odd*10 <= all
}

func scalarText(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Uintptr:
		return "0x" + strconv.FormatUint(v.Uint(), 16)
	case reflect.UnsafePointer:
		return "0x" + strconv.FormatUint(uint64(v.Pointer()), 16)
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
	case reflect.Complex64, reflect.Complex128:
		s := strconv.FormatComplex(v.Complex(), 'g', -1, v.Type().Bits())
		return s[1 : len(s)-1]
	case reflect.String:
		return quoted(v.String())
	case reflect.Chan:
		if v.Cap() == 0 {
			return "unbuffered"
		}
		return comma(v.Len()) + " of " + comma(v.Cap()) + " buffered"
	case reflect.Func:
		return funcText(v.Pointer())
	}
	return "!unknown kind " + v.Kind().String()
}

// funcText returns the name of the function that begins at pc. This is the last of
// the frames at pc; the others are inlined in it. (runtime.FuncForPC would return
// the innermost.)
func funcText(pc uintptr) string {
	frames := runtime.CallersFrames([]uintptr{pc + 1}) // CallersFrames expects return addresses
	var f runtime.Frame
	for more := true; more; {
		f, more = frames.Next()
	}
	if f.Function == "" {
		return "unknown"
	}
	return fmt.Sprintf("%s (%s:%d)", f.Function, f.File, f.Line)
}
