package values

import (
	"cmp"
	"reflect"
	"slices"
)

type entry struct{ key, value reflect.Value }

// readMap reads only as many entries as are shown, because the map may be huge. It
// sorts them by their keys, if these have an order. In a larger map, the entries
// that it reads are random.
func readMap(v reflect.Value) []entry {
	n := maxElements
	if size := v.Type().Key().Size() + v.Type().Elem().Size(); size > 0 {
		n = min(n, max(1, int(maxCopied/size)))
	}
	var entries []entry
	for it := v.MapRange(); len(entries) < n && it.Next(); {
		entries = append(entries, entry{it.Key(), it.Value()})
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return compareKeys(a.key, b.key) })
	return entries
}

func compareKeys(a, b reflect.Value) int {
	if a.Kind() == reflect.Interface {
		a, b = a.Elem(), b.Elem()
	}
	if c := cmp.Compare(a.Kind(), b.Kind()); c != 0 {
		return c
	}
	switch {
	case a.Kind() == reflect.String:
		return cmp.Compare(a.String(), b.String())
	case a.Kind() == reflect.Bool:
		return cmp.Compare(btoi(a.Bool()), btoi(b.Bool()))
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.CanFloat():
		return cmp.Compare(a.Float(), b.Float())
	}
	return 0
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
