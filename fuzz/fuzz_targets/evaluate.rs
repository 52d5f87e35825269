//! A worker of the fuzz targets, next to them.

fn main() -> std::process::ExitCode {
    talkgraph_evaluation::serve()
}
