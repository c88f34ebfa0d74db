//! The kernel-side programs, as the build script made them: one ELF per probe, by name and in `ALL`.
#![allow(missing_docs, reason = "a program is documented in its own file")]

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_program_is_an_aligned_elf_with_a_licence_the_kernel_accepts() {
        assert!(!ALL.is_empty());
        for (name, elf) in ALL {
            assert_eq!(elf.as_ptr() as usize % 8, 0, "{name} is not aligned");
            let object = aya_obj::Object::parse(elf).unwrap();
            assert_eq!(object.license.to_str(), Ok("Dual MIT/GPL"), "{name}");
            assert!(!object.programs.is_empty(), "{name} has no program");
        }
    }
}
