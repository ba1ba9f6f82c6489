"""Operations on a thread's record and its checkpoints together: versions, archives, copies, removal."""
