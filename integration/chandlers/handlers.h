// come installs a handler that calls the previous one; go_away removes it.
void come(int sig);
void go_away(int sig);
// end_on installs a handler that ends the process with status 7.
void end_on(int sig);
// keep keeps the handler and ignores the signal; put_back puts the handler back.
void keep(int sig);
void put_back(int sig);
// copy gives the signal to the handler of the signal from.
void copy(int from, int to);
