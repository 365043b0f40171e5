// Ctrl-C as a number that running work looks at.
#pragma once

namespace plumb {

// Takes over SIGINT: from now on it only counts. System calls that wait (reading a line) end with
// EINTR. Ten presses without a clear_interrupts() between end the program with status 130, so that
// a program that forgot to look can still be stopped. Call once, from the program's start.
void install_interrupt_counter();

// Counts as one more press, for a program that hears of signals in another way.
void note_interrupt();

// Presses since the last clear. Thread-safe, cheap enough for every step of a loop.
int interrupt_count();
inline bool interrupted() { return interrupt_count() > 0; }
void clear_interrupts();

}  // namespace plumb
