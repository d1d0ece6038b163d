//go:build gc && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

#include "textflag.h"

// func load(addr uintptr) uintptr
TEXT ·load(SB), NOSPLIT, $0-16
	MOVD	addr+0(FP), R0
	MOVD	(R0), R0
	MOVD	R0, ret+8(FP)
	RET

// func getg() uintptr
TEXT ·getg(SB), NOSPLIT, $0-8
	MOVD	g, ret+0(FP)
	RET

// func loadPointer(addr uintptr) unsafe.Pointer
TEXT ·loadPointer(SB), NOSPLIT, $0-16
	MOVD	addr+0(FP), R0
	MOVD	(R0), R0
	MOVD	R0, ret+8(FP)
	RET

// func prefetch(addr uintptr, n int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVD	addr+0(FP), R0
	MOVD	n+8(FP), R1
line:
	PRFM	(R0), PLDL1KEEP
	ADD	$64, R0
	SUBS	$64, R1
	BGT	line
	RET

// func copyWords(to *uint64, from uintptr, n int)
// DMB ISHLD keeps the loads before it and after it in order.
TEXT ·copyWords(SB), NOSPLIT, $0-24
	MOVD	to+0(FP), R0
	MOVD	from+8(FP), R1
	MOVD	n+16(FP), R2
	DMB	$0x9
	CBZ	R2, done
loop:
	MOVD.P	8(R1), R3
	MOVD.P	R3, 8(R0)
	SUBS	$1, R2
	BNE	loop
done:
	DMB	$0x9
	RET
