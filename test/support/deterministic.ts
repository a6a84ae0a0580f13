import fc from 'fast-check';

// Property tests draw the same cases in every run; imported for this effect.
fc.configureGlobal({ seed: 20_240_917 });
